// Random parts of ids.

let letters = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** Returns random letters and digits. */
export function random(length) {
  let bytes = crypto.getRandomValues(new Uint8Array(length))
  return [...bytes].map(byte => letters[byte % letters.length]).join('')
}

let lastTime = 0

/** Returns a new id. The ids of a page are in the order in which it has made them. */
export function newId() {
  lastTime = Math.max(Date.now(), lastTime + 1)
  return lastTime.toString(36).padStart(9, '0') + random(8)
}
