// What this device shows the others of itself in a document, in parts: a name, a cursor, …

/** The states that were set, by document. */
let states = new WeakMap()

/** Changes parts of the state that this device shows in a document. `undefined` removes a part. */
export function updatePresence(document, part) {
  let state = { ...states.get(document), ...part }
  states.set(document, state)
  let isEmpty = Object.values(state).every(value => value === undefined)
  document.setPresence(isEmpty ? null : state)
}
