// A log as a test, which says what a document was after it.

/** Returns the text of a test for Node.js. */
export function testOf(note, entries) {
  let own = entries.filter(({ reasons }) => reasons.includes(note.channel))
  let lines = own.map(({ action, added, id, reasons, time }) => {
    return `  ${JSON.stringify({ action, added, id, reasons, time })}`
  })
  let [kind, id] = [note.kind, note.id].map(it => JSON.stringify(it))
  let expected = JSON.stringify(note.get() ?? null, null, 2).replaceAll('\n', '\n  ')
  return `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { replay } from 'logux-web/replay'

let log = [
${lines.join(',\n')}
]

test(${JSON.stringify(`the document ${note.channel}`)}, async () => {
  let logux = await replay(log)
  assert.deepEqual(logux.document(${kind}, ${id}).get(), ${expected})
})
`
}
