// As much of a browser as `CrossTabClient` needs for two tabs that share one
// connection: storage with its events between tabs, and locks.

export function installBrowser() {
  let items = new Map()
  let listeners = []

  let localStorage = {
    getItem: key => items.get(key) ?? null,
    removeItem(key) {
      items.delete(key)
    },
    setItem(key, value) {
      items.set(key, String(value))
      // A browser tells the other tabs only; the client knows its own by the
      // id of the tab.
      queueMicrotask(() => {
        for (let i of listeners) i({ key, newValue: String(value) })
      })
    }
  }

  let last = Promise.resolve()
  let locks = {
    request(name, callback) {
      last = last.then(callback)
      return last
    }
  }

  let window = {
    addEventListener(event, listener) {
      if (event === 'storage') listeners.push(listener)
    },
    removeEventListener() {}
  }

  let globals = { localStorage, navigator: { locks, onLine: true }, window }
  for (let name in globals) {
    Object.defineProperty(globalThis, name, {
      configurable: true,
      value: globals[name]
    })
  }
}
