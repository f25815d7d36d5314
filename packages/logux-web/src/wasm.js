// Loads WebAssembly modules, and passes strings to them and back.

let encoder = new TextEncoder()
let decoder = new TextDecoder()

/**
 * Returns a compiled module.
 *
 * @param {BufferSource | Response | Promise<Response> | WebAssembly.Module | undefined} source the
 *   module; `undefined`: the file at the address
 * @param {URL} url its address
 */
export async function compile(source, url) {
  if (source instanceof WebAssembly.Module) return source
  if (!source) {
    if (url.protocol === 'file:') {
      let { readFile } = await import('node:fs/promises')
      source = await readFile(url)
    } else {
      source = fetch(url)
    }
  }
  source = await source
  if (source instanceof Response) {
    // Servers that do not know the media type of modules prevent streaming.
    source = await source.arrayBuffer()
  }
  return WebAssembly.compile(source)
}

/** The memory of an instance, for strings. */
export class Memory {
  constructor(exports) {
    this.exports = exports
  }

  /** Gives a string to the module. Returns its address and its length. */
  give(text) {
    let bytes = encoder.encode(text)
    let address = this.exports.logux_allocate(bytes.length)
    new Uint8Array(this.exports.memory.buffer, address, bytes.length).set(bytes)
    return [address, bytes.length]
  }

  /** Gives a string to the module, as the result of a function. */
  giveResult(text) {
    let [address, length] = this.give(text)
    return (BigInt(address) << 32n) | BigInt(length)
  }

  /** Returns a string that stays in the memory. */
  read(address, length) {
    return decoder.decode(new Uint8Array(this.exports.memory.buffer, address, length))
  }

  /** Returns the result of a function, and frees its memory. */
  takeResult(result) {
    let packed = BigInt.asUintN(64, result)
    let [address, length] = [Number(packed >> 32n), Number(packed & 0xffffffffn)]
    let text = this.read(address, length)
    this.exports.logux_free(address, length)
    return text
  }
}
