// Random numbers that are the same at each run.

/** Returns a function that returns a random whole number below a limit. */
export function randomNumbers(seed) {
  let state = seed
  return limit => {
    // The generator mulberry32.
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * limit)
  }
}

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
