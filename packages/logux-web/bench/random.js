// Random texts that are the same at each run.

import { randomNumbers } from '../test/random.js'

/** Returns a letter, a space, or, at the end of a line of about 70 letters, a line break. */
export function randomLetter(random) {
  if (random(70) === 0) return '\n'
  return random(6) === 0 ? ' ' : String.fromCharCode(97 + random(26))
}

/** Returns a text with a number of letters. */
export function randomText(seed, length) {
  let random = randomNumbers(seed)
  return Array.from({ length }, () => randomLetter(random)).join('')
}
