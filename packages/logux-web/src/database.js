// What a client keeps in IndexedDB: its entries by id, and everything else by name.

/** Opens the database with a name, or one in memory, where there is no IndexedDB. */
export async function openDatabase(name) {
  if (name === undefined || typeof indexedDB === 'undefined') return new NoDatabase()
  let database = await new Promise((resolve, reject) => {
    let opening = indexedDB.open(name, 1)
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore('entries', { keyPath: 'id' })
      opening.result.createObjectStore('values', { keyPath: 'name' })
    }
    opening.onsuccess = () => resolve(opening.result)
    opening.onerror = () => reject(opening.error)
  })
  return new Database(database)
}

/** Nothing is kept. */
class NoDatabase {
  isKept = false

  async read() {
    return []
  }

  async write() {}

  close() {}
}

class Database {
  #database
  /** The changes that wait for the end of the transaction, and the promise that they are kept. */
  #next = []
  #nextKept
  #isWriting = false
  #problem

  isKept = true

  constructor(database) {
    this.#database = database
  }

  /** Returns everything that the database has, as changes of an empty store. */
  async read() {
    let transaction = this.#database.transaction(['entries', 'values'])
    let all = store =>
      new Promise((resolve, reject) => {
        let reading = transaction.objectStore(store).getAll()
        reading.onsuccess = () => resolve(reading.result)
        reading.onerror = () => reject(reading.error)
      })
    let [entries, values] = await Promise.all([all('entries'), all('values')])
    return [...entries, ...values]
  }

  /**
   * Writes changes after all earlier ones. Resolves when they are kept. Changes that wait for a
   * transaction are one transaction then. When one has failed, the next are not written, because a
   * client could not continue after a gap.
   */
  write(changes) {
    this.#next.push(...changes)
    this.#nextKept ??= promise()
    let { kept } = this.#nextKept
    if (!this.#isWriting) this.#writeNext()
    return kept
  }

  async #writeNext() {
    this.#isWriting = true
    while (this.#nextKept) {
      let [changes, { resolve, reject }] = [this.#next, this.#nextKept]
      this.#next = []
      this.#nextKept = undefined
      try {
        if (this.#problem) throw this.#problem
        await this.#transact(changes)
        resolve()
      } catch (problem) {
        this.#problem = problem
        this.isKept = false
        reject(problem)
      }
    }
    this.#isWriting = false
  }

  #transact(changes) {
    return new Promise((resolve, reject) => {
      let transaction = this.#database.transaction(['entries', 'values'], 'readwrite')
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(transaction.error)
      try {
        write(transaction.objectStore('entries'), transaction.objectStore('values'), changes)
      } catch (problem) {
        reject(problem)
        transaction.abort()
      }
    })
  }

  close() {
    this.#database.close()
  }
}

function promise() {
  let functions
  let kept = new Promise((resolve, reject) => (functions = { reject, resolve }))
  return { kept, ...functions }
}

function write(entries, values, changes) {
  for (let change of changes) {
    if (change.change === 'clean') {
      entries.clear()
      values.clear()
    } else if (change.change === 'put') {
      entries.put(change)
    } else if (change.change === 'remove') {
      entries.delete(change.id)
    } else if (change.change === 'numbers') {
      // No value of the log has an empty name.
      values.put({ ...change, name: '' })
    } else if (change.value === null) {
      values.delete(change.name)
    } else {
      values.put(change)
    }
  }
}
