// Listeners of events.

/** Calls a function whose error is reported, and prevents nothing. */
export function callListener(listener, ...values) {
  try {
    listener(...values)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

export class Events {
  #listeners = new Map()

  /** Calls a function at each event with a name. Returns what ends that. */
  on(event, listener) {
    let listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners)
    let entry = { listener }
    listeners.add(entry)
    return () => {
      listeners.delete(entry)
    }
  }

  emit(event, ...values) {
    for (let { listener } of this.#listeners.get(event) ?? []) callListener(listener, ...values)
  }
}
