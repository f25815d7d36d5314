// Why a value is so: the actions that have changed what a document shows at a path.

/** Returns the value at a path of keys. */
export function valueAt(state, path) {
  return path.reduce((value, key) => (value === null ? undefined : value?.[key]), state)
}

/**
 * Returns the actions after which a value was another one, the latest first:
 * `[{ id, time, before, after }]`, and what was there before all of them. O(n) of the history, of
 * which at most the latest `max` actions are read.
 */
export function causesOf(note, path, max = 500) {
  let history = note.history()
  let first = Math.max(0, history.length - max)
  let causes = []
  let before = first > 0 ? valueAt(note.stateAt(history[first - 1].id), path) : undefined
  let oldest = before
  let text = JSON.stringify(before)
  for (let { id, isUndone, time } of history.slice(first)) {
    if (isUndone) continue
    let after = valueAt(note.stateAt(id), path)
    let afterText = JSON.stringify(after)
    if (afterText !== text) causes.unshift({ after, before, id, time })
    before = after
    text = afterText
  }
  return { causes, isCut: first > 0, oldest }
}
