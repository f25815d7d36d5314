// The history of a text: one person types, removes, and goes to another place now and then.

import { randomNumbers } from '../test/random.js'
import { randomLetter } from './random.js'

/**
 * Returns edits `{ from, to, insert }`, each an action, and the text after them. It has about as
 * many letters as there are edits.
 */
export function makeHistory(count) {
  let random = randomNumbers(7)
  let edits = []
  // As letters in an array, so that an edit in the middle copies them only.
  let text = []
  let cursor = 0
  for (let index = 0; index < count; index += 1) {
    if (random(40) === 0) cursor = random(text.length + 1)
    let kind = random(20)
    if (kind < 2 && cursor > 0) {
      edits.push({ from: cursor - 1, insert: '', to: cursor })
      text.splice(cursor - 1, 1)
      cursor -= 1
      continue
    }
    // One of twenty is a word of five letters, which was pasted or completed.
    let insert = Array.from({ length: kind === 2 ? 5 : 1 }, () => randomLetter(random)).join('')
    edits.push({ from: cursor, insert, to: cursor })
    text.splice(cursor, 0, ...insert)
    cursor += insert.length
  }
  return { edits, text: text.join('') }
}
