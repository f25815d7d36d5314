// Documents and records in components of React.

import { useCallback, useEffect, useMemo, useReducer, useRef, useSyncExternalStore } from 'react'

/**
 * How long something stays open that no component shows, in milliseconds: components are mounted
 * again, and are rendered some time before they are mounted.
 */
let DELAY = 1000

/** What components have open, by client and key. */
let holds = new WeakMap()

/** Something that is open while components show it. */
class Hold {
  #users = 0
  #timer
  #drop

  constructor(store, drop) {
    this.store = store
    this.#drop = drop
    this.#wait()
  }

  /** A component is mounted. Returns what to call when it is not any more. */
  begin() {
    this.#users += 1
    clearTimeout(this.#timer)
    return () => {
      this.#users -= 1
      if (this.#users === 0) this.#wait()
    }
  }

  #wait() {
    this.#timer = setTimeout(() => {
      this.isDropped = true
      this.#drop()
      this.store.close()
    }, DELAY)
    // A server that has rendered a page ends.
    this.#timer.unref?.()
  }
}

/** Opens something for a component. Returns `undefined` until there is a client. */
function useOpen(client, key, open) {
  let [, renderAgain] = useReducer(count => count + 1, 0)
  let hold
  if (client && !client.isClosed) {
    if (!holds.has(client)) holds.set(client, new Map())
    let ofClient = holds.get(client)
    hold = ofClient.get(key)
    if (!hold) {
      hold = new Hold(open(), () => ofClient.delete(key))
      ofClient.set(key, hold)
    }
  }
  useEffect(() => {
    // It took longer to mount the component than the hold has waited.
    if (hold?.isDropped) return renderAgain()
    return hold?.begin()
  }, [hold])
  return hold?.store
}

/** Reads a store, and renders the component again when what is read differs. */
function useStore(store, read) {
  let watch = useCallback(listener => store?.watch(listener) ?? (() => {}), [store])
  return useSyncExternalStore(watch, read, read)
}

let snapshots = new WeakMap()

/** Returns what is read of a store: the same object until a part of it differs. */
function snapshot(store, read) {
  let last = snapshots.get(store)
  // What is closed shows what it has shown.
  if (last && store.isOpen === false) return last
  let now = read(store)
  if (last && Object.keys(now).every(key => Object.is(now[key], last[key]))) return last
  snapshots.set(store, now)
  return now
}

let NO_DOCUMENT = { canRedo: false, canUndo: false, document: undefined, status: 'loading' }
let NO_RECORDS = { list: undefined, records: [], status: 'loading' }
let NO_RECORD = { record: undefined, status: 'loading', value: undefined }
let NOBODY = {}

let readDocument = document => {
  let { canRedo, canUndo, status } = document
  return { canRedo, canUndo, document, status }
}

/** Opens a document while the component is mounted. */
export function useDocument(client, kind, id) {
  let key = JSON.stringify(['document', kind, id])
  let document = useOpen(client, key, () => client.document(kind, id))
  return useStore(document, () => (document ? snapshot(document, readDocument) : NO_DOCUMENT))
}

/** Returns the value at a path of a document. */
export function useValue(document, path = '') {
  return useStore(document, () => (document?.isOpen ? document.get(path) : undefined))
}

/** Returns a text of a document, and what changes it. */
export function useText(document, path) {
  let key = JSON.stringify(path)
  let text = useMemo(() => document?.text(path), [document, key])
  let value = useStore(document, () => (document?.isOpen ? text.get() : ''))
  return { text, value }
}

/** Returns what the others show in a document, and what shows them something. */
export function usePresence(document) {
  let others = useStore(document, () => (document?.isOpen ? document.others : NOBODY))
  let isShown = useRef(false)
  let show = useCallback(
    state => {
      isShown.current = state !== null
      document?.setPresence(state)
    },
    [document]
  )
  useEffect(() => {
    return () => {
      if (isShown.current && document?.isOpen) show(null)
    }
  }, [document, show])
  return { others, show }
}

/** Opens the records that match a filter while the component is mounted. */
export function useRecords(client, plural, options) {
  let key = JSON.stringify(['records', plural, options?.filter ?? {}])
  let list = useOpen(client, key, () => client.records(plural, options))
  let read = ({ status, value }) => ({ list, records: value, status })
  return useStore(list, () => (list ? snapshot(list, read) : NO_RECORDS))
}

/** Opens one record while the component is mounted. */
export function useRecord(client, plural, id) {
  let key = JSON.stringify(['record', plural, id])
  let record = useOpen(client, key, () => client.record(plural, id))
  let read = ({ status, value }) => ({ record, status, value })
  return useStore(record, () => (record ? snapshot(record, read) : NO_RECORD))
}

/** Returns what to show about the connection. */
export function useStatus(client) {
  return useStore(client?.$status, () => client?.status ?? 'disconnected')
}
