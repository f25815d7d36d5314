// The reducer of the documentation of documents as JSON, for applications of the official client.

import { readFileSync } from 'node:fs'

const CHAPTER = '../../../crates/logux-server/src/docs/json_documents.md'
const text = readFileSync(new URL(CHAPTER, import.meta.url), 'utf8')
const [, code] = text.match(/```js\n(.*?export function reducer.*?)```/s)

export const { change, reducer } = await import(
  `data:text/javascript,${encodeURIComponent(code)}`
)

/** The document with an id as a device shows it, from what it has received. */
export function shownDocument(device, id) {
  return device.inbox.all.map(([action]) => action).reduce(reducer, {})[id]
}
