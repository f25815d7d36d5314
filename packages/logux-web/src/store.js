// What an application shows, in the shape of a store of nanostores.

import { callListener } from './events.js'

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

  /** Whether two values are the same for stores that are computed from this one. */
  eq(one, other) {
    return Object.is(one, other)
  }

  /** Calls a function with the value, now and after each change. Returns what ends that. */
  subscribe(listener) {
    let unsubscribe = this.listen(listener)
    listener(this.get())
    return unsubscribe
  }

  /** Calls a function with the value after each change. Returns what ends that. */
  listen(listener) {
    return this.#add(() => listener(this.get()))
  }

  /** Calls a function after each change, without the value, which may be large. */
  watch(listener) {
    return this.#add(() => listener())
  }

  /** Ends all calls. */
  off() {
    let hadSome = this.#listeners.size > 0
    this.#listeners.clear()
    if (hadSome) this.end?.()
  }

  /** Calls the listeners. The error of one is reported, and prevents nothing. */
  notify() {
    // Computed stores of nanostores look for changes only if this number is new.
    if (globalThis.nanostoresGlobal) globalThis.nanostoresGlobal.epoch += 1
    for (let call of [...this.#listeners]) {
      if (this.#listeners.has(call)) callListener(call)
    }
  }

  #add(call) {
    if (this.#listeners.size === 0) this.begin?.()
    this.#listeners.add(call)
    return () => {
      if (this.#listeners.delete(call) && this.#listeners.size === 0) this.end?.()
    }
  }
}

/** A store whose value is set. */
export class Value extends Store {
  #value

  constructor(value) {
    super()
    this.#value = value
  }

  get() {
    return this.#value
  }

  set(value) {
    if (value === this.#value) return
    this.#value = value
    this.notify()
  }
}

/** A store of something that another store has, whose listeners hear of nothing else. */
export class Part extends Store {
  #source
  #last
  #unwatch

  constructor(source, get) {
    super()
    this.#source = source
    this.get = get
  }

  begin() {
    this.#last = this.get()
    this.#unwatch = this.#source.watch(() => {
      let value = this.get()
      if (value === this.#last) return
      this.#last = value
      this.notify()
    })
  }

  end() {
    this.#unwatch()
  }
}

/** Resolves with the `status` of a store when it is not `loading` any more. */
export function loaded(store) {
  return new Promise(resolve => {
    let unwatch
    let decide = () => {
      if (store.status === 'loading') return false
      unwatch?.()
      resolve(store.status)
      return true
    }
    if (!decide()) unwatch = store.watch(decide)
  })
}
