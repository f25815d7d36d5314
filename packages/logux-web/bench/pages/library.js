// What a key costs in Automerge without an editor: the own edit, and those of the 19 others.

import {
  applyChanges,
  change,
  from,
  getLastLocalChange,
  initializeWasm,
  load,
  save,
  splice
} from '@automerge/automerge'

const OTHERS = 19

let parameters = new URLSearchParams(location.search)
window.result = measure(Number(parameters.get('keys')))

async function measure(keys) {
  await initializeWasm(fetch('/automerge.wasm'))
  let text = await (await fetch('/base-text')).text()
  let base = save(from({ text }))
  let doc = load(base)
  let others = Array.from({ length: OTHERS }, () => load(base))
  let times = { edit: [], one: [], receive: [] }
  for (let key = 0; key < keys; key += 1) {
    let changes = others.map((other, index) => {
      others[index] = change(other, made => splice(made, ['text'], 5000 * index + key, 0, 'x'))
      return getLastLocalChange(others[index])
    })
    let start = performance.now()
    doc = change(doc, made => splice(made, ['text'], 500 + key, 0, 'x'))
    getLastLocalChange(doc)
    let edited = performance.now()
    ;[doc] = applyChanges(doc, changes.slice(1))
    let received = performance.now()
    ;[doc] = applyChanges(doc, changes.slice(0, 1))
    times.edit.push(edited - start)
    times.receive.push(received - edited)
    times.one.push(performance.now() - received)
  }
  if (doc.text.length !== text.length + keys * (OTHERS + 1)) throw new Error('a key is missing')
  return times
}
