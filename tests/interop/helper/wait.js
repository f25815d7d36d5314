// Waiting for something that must happen, never for time to pass.

import { inspect } from 'node:util'

/** How long anything that must happen may take. */
export const PATIENCE = 8000

export function show(value) {
  return inspect(value, { breakLength: 100, depth: 8 })
}

/** The promise, or an error which says what did not come. */
export async function within(promise, what, ms = PATIENCE) {
  let timer
  try {
    return await Promise.race([
      promise,
      new Promise((resolve, reject) => {
        timer = setTimeout(() => {
          let text = typeof what === 'function' ? what() : what
          reject(new Error(`Waited ${ms} ms in vain for ${text}`))
        }, ms)
      })
    ])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * For the few places where time itself is the subject: two moments which must
 * differ by more than the error with which clocks are compared.
 */
export function apart(ms = 150) {
  return new Promise(resolve => {
    setTimeout(resolve, ms)
  })
}

/** What has come, and waiting for what has not come yet. */
export class Inbox {
  all = []
  #taken = 0
  #waiting = []

  push(item) {
    this.all.push(item)
    for (let wake of this.#waiting.splice(0)) wake()
  }

  /** The next item after the last taken one that matches; skips the others. */
  async next(match, what = 'an item') {
    let search = async () => {
      for (;;) {
        while (this.#taken < this.all.length) {
          let item = this.all[this.#taken++]
          if (match(item)) return item
        }
        await new Promise(resolve => {
          this.#waiting.push(resolve)
        })
      }
    }
    return within(search(), () => `${what}; came: ${show(this.all)}`)
  }

  /** From here on, what came before does not count. */
  forget() {
    this.all = []
    this.#taken = 0
  }
}
