// What an application shows, in the shape of a store of nanostores.

/** A store. Its class has `get`, which returns the same value until it has changed. */
export class Store {
  #listeners = new Set()

  /** The value, as `get` returns it. */
  get value() {
    return this.get()
  }

  /** The number of listeners. */
  get lc() {
    return this.#listeners.size
  }

  /** Calls a function now and after each change. Returns what ends that. */
  subscribe(listener) {
    let unsubscribe = this.listen(listener)
    listener(this.get())
    return unsubscribe
  }

  /** Calls a function after each change. Returns what ends that. */
  listen(listener) {
    let entry = { listener }
    this.#listeners.add(entry)
    return () => {
      this.#listeners.delete(entry)
    }
  }

  /** Ends all calls. */
  off() {
    this.#listeners.clear()
  }

  /** Calls the listeners. The error of one is reported, and prevents nothing. */
  notify() {
    for (let entry of [...this.#listeners]) {
      if (!this.#listeners.has(entry)) continue
      try {
        entry.listener(this.get())
      } catch (error) {
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}

/** Resolves with the `status` of a store when it is not `loading` any more. */
export function loaded(store) {
  return new Promise(resolve => {
    let unsubscribe
    let decide = () => {
      if (store.status === 'loading') return false
      unsubscribe?.()
      resolve(store.status)
      return true
    }
    if (!decide()) unsubscribe = store.listen(decide)
  })
}
