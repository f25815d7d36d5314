// Reads the saved state of a document of plain values, as spec/documents.md describes it.

import assert from 'node:assert/strict'
import { crc32, inflateRawSync } from 'node:zlib'

class Bytes {
  constructor(buffer) {
    this.buffer = buffer
    this.at = 0
  }

  integer() {
    let number = 0
    for (let factor = 1; ; factor *= 128) {
      let byte = this.buffer[this.at++]
      number += (byte % 128) * factor
      if (byte < 128) return number
    }
  }

  bytes() {
    let length = this.integer()
    this.at += length
    return this.buffer.subarray(this.at - length, this.at)
  }

  string() {
    return this.bytes().toString()
  }

  compressed(isCompressed) {
    let length = isCompressed ? this.integer() : undefined
    let bytes = this.bytes()
    if (!isCompressed) return bytes
    let inflated = inflateRawSync(bytes)
    assert.equal(inflated.length, length)
    return inflated
  }
}

/** Returns the values of a document by path. Deleted and hidden ones are missing. */
export function readDocument(base64) {
  let file = new Bytes(Buffer.from(base64, 'base64'))
  assert.equal(file.buffer.subarray(0, 4).toString('hex'), '934c4758')
  assert.equal(file.buffer.readUInt32LE(4), crc32(file.buffer.subarray(8)))
  file.at = 8
  assert.equal(file.integer(), 1)
  let flags = file.integer()
  assert.equal(file.string(), 'document')
  assert.equal(file.integer(), 4)
  file.compressed(flags & 1)
  let content = new Bytes(file.compressed(flags & 2))
  for (let nodes = content.integer(); nodes > 0; nodes--) content.string()
  for (let column = 0; column < 6; column++) content.bytes()
  let values = {}
  for (let entries = content.integer(); entries > 0; entries--) {
    assert.equal(content.integer(), 0, 'no items of lists')
    let path = content.string()
    let value = content.string()
    if (value) values[path] = JSON.parse(value)
  }
  for (let part of ['counters', 'sets', 'lists', 'texts', 'trees', 'elements']) {
    assert.equal(content.integer(), 0, part)
  }
  assert.equal(content.at, content.buffer.length)
  return values
}
