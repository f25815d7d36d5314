// A text of Automerge, kept as the bytes of the saved document.

import { change, from, initializeWasm, load, save, splice } from '@automerge/automerge'
import { automergeSyncPlugin } from '@automerge/automerge-codemirror'

import { Handle } from './automerge-handle.js'
import { readBytes, writeBytes } from './saved-bytes.js'

export async function open() {
  let [bytes] = await Promise.all([readBytes(), initializeWasm(fetch('/automerge.wasm'))])
  let handle = new Handle(load(bytes))
  let extensions = automergeSyncPlugin({ handle, path: ['text'] })
  return { extensions, text: handle.doc().text }
}

export async function fill({ edits, text: expected }) {
  await initializeWasm(fetch('/automerge.wasm'))
  let doc = from({ text: '' })
  for (let { from, insert, to } of edits) {
    doc = change(doc, made => splice(made, ['text'], from, to - from, insert))
  }
  if (doc.text !== expected) throw new Error('another text')
  await writeBytes(save(doc))
}
