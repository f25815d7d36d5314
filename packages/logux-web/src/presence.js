// What this device shows the others of itself in a document, in parts: a name, a cursor, …

/** The number of editors, by document. */
let editors = new WeakMap()

/**
 * Changes parts of the state that this device shows in a document. `undefined` removes a part. A
 * state that the application has set and that has no parts stays.
 */
export function updatePresence(document, part) {
  let shown = document.presence ?? {}
  if (typeof shown !== 'object' || Array.isArray(shown)) return
  let state = { ...shown, ...part }
  for (let [name, value] of Object.entries(state)) {
    if (value === undefined) delete state[name]
  }
  let isNobody = Object.keys(state).length === 0 && !editors.get(document)
  document.setPresence(isNobody ? null : state)
}

/**
 * An editor of the document is shown. Clients show others what is typed at once, and nobody after
 * a pause, so they have to know. Returns what ends that.
 */
export function enter(document) {
  let count = change => {
    editors.set(document, (editors.get(document) ?? 0) + change)
    if (document.isOpen) updatePresence(document, {})
  }
  count(1)
  return () => count(-1)
}
