// Changes of a text at the same time: lists of `{ from, to, insert }`, in order, with positions in
// the text before all of them.

/**
 * Returns the position after changes.
 *
 * @param {number} side where a position is that something is inserted at: before it (-1, the
 *   default), or after it (1)
 */
export function mapPosition(changes, position, side = -1) {
  let shift = 0
  for (let { from, to, insert } of changes) {
    if (from > position || (from === position && side < 0)) break
    // Within a removed part: after what is in its place.
    if (to > position) return from + shift + insert.length
    shift += insert.length - (to - from)
  }
  return position + shift
}

/**
 * Returns changes as changes of a text in which others have been made. `isFirst`: what both insert
 * at one place comes in the order `changes`, `others`.
 */
export function rebase(changes, others, isFirst = false) {
  let side = isFirst ? -1 : 1
  let rebased = []
  for (let { from, to, insert } of changes) {
    let at = mapPosition(others, from, side)
    if (insert) rebased.push({ from: at, to: at, insert })
    for (let [start, end] of remaining(from, to, others)) {
      let [from, to] = [mapPosition(others, start, 1), mapPosition(others, end)]
      rebased.push({ from, insert: '', to })
    }
  }
  return rebased
}

/** Returns the parts of a range that others do not remove, cut where others insert. */
function remaining(from, to, others) {
  let parts = []
  let start = from
  for (let other of others) {
    if (other.to < start || other.from >= to) continue
    if (other.from > start) parts.push([start, other.from])
    start = Math.max(start, other.to)
  }
  if (start < to) parts.push([start, to])
  return parts
}

/** Returns a text after changes. */
export function applyChanges(text, changes) {
  let shown = ''
  let at = 0
  for (let { from, to, insert } of changes) {
    shown += text.slice(at, from) + insert
    at = to
  }
  return shown + text.slice(at)
}

/**
 * Returns the smallest change between two texts, or `undefined` if they are equal.
 *
 * @param {number} [caret] the end of what the user has typed, which decides between equal letters
 */
export function difference(before, after, caret = after.length) {
  if (before === after) return
  let end = 0
  let common = Math.min(before.length, after.length)
  let most = Math.min(common, after.length - caret)
  while (end < most && before.at(-1 - end) === after.at(-1 - end)) end += 1
  let start = 0
  while (start < common - end && before[start] === after[start]) start += 1
  // The caret is not at the end of the change.
  while (end < common - start && before.at(-1 - end) === after.at(-1 - end)) end += 1
  if (isInPair(before, start) || isInPair(after, start)) start -= 1
  if (isInPair(before, before.length - end) || isInPair(after, after.length - end)) end -= 1
  return { from: start, to: before.length - end, insert: after.slice(start, after.length - end) }
}

/** Whether an index is between the two halves of a code point. */
function isInPair(text, index) {
  let isHalf = (at, first) => (text.charCodeAt(at) & 0xfc00) === first
  return index > 0 && isHalf(index - 1, 0xd800) && isHalf(index, 0xdc00)
}
