// A device with a wrong clock. Clocks belong to a thread, so it lives in one.

import { Worker } from 'node:worker_threads'

import { trace } from './trace.js'
import { within } from './wait.js'

export class SkewedDevice {
  #asked = 0
  #answers = new Map()

  constructor(server, userId, shift) {
    this.userId = userId
    let file = new URL('./skewed-worker.js', import.meta.url)
    this.worker = new Worker(file, {
      workerData: { shift, url: server.url, userId }
    })
    this.worker.on('message', ({ error, id, line, value }) => {
      if (line) {
        trace(`(${userId})`, line)
      } else {
        let [resolve, reject] = this.#answers.get(id)
        this.#answers.delete(id)
        if (error) reject(new Error(error))
        else resolve(value)
      }
    })
    this.worker.on('error', error => {
      for (let [, reject] of this.#answers.values()) reject(error)
    })
  }

  /** Calls a method of the device in its thread. */
  call(method, ...args) {
    let id = ++this.#asked
    let answer = new Promise((resolve, reject) => {
      this.#answers.set(id, [resolve, reject])
    })
    this.worker.postMessage({ args, id, method })
    return within(answer, `${method} of ${this.userId}`, 15_000)
  }

  destroy() {
    return this.worker.terminate()
  }
}
