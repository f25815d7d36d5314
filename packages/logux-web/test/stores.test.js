// The shape of stores of nanostores.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batched, computed } from 'nanostores'

import { Part, Value } from '../src/store.js'

test('stores are computed from these, with and without listeners', () => {
  let store = new Value([1])
  let calls = 0
  let $length = computed(store, list => {
    calls += 1
    return list.length
  })
  assert.equal($length.get(), 1)
  store.set([1, 2])
  assert.equal($length.get(), 2)
  store.notify()
  assert.equal($length.get(), 2)
  assert.equal(calls, 2)
  let seen = []
  let end = computed([store, $length], (list, length) => list[0] + length).subscribe(it => {
    seen.push(it)
  })
  store.set([5])
  end()
  assert.deepEqual(seen, [3, 6])
  assert.equal(batched(store, list => list[0]).get(), 5)
})

test('a store calls each listener as often as it listens', () => {
  let store = new Value(1)
  let seen = []
  let listener = value => seen.push(value)
  let ends = [store.listen(listener), store.listen(listener), store.subscribe(listener)]
  assert.deepEqual(seen, [1])
  ends[0]()
  ends[0]()
  assert.equal(store.lc, 2)
  store.set(2)
  store.set(2)
  assert.deepEqual(seen, [1, 2, 2])
  store.off()
  store.set(3)
  assert.deepEqual([seen.length, store.lc, store.value], [3, 0, 3])
})

test('the error of a listener is reported, and prevents nothing', t => {
  let store = new Value(1)
  let reported = t.mock.method(globalThis, 'queueMicrotask', () => {})
  store.listen(() => {
    throw new Error('listener')
  })
  let seen = []
  store.listen(value => seen.push(value))
  store.set(2)
  assert.deepEqual(seen, [2])
  assert.throws(reported.mock.calls[0].arguments[0], /listener/)
})

test('a part hears of what it shows only, while it has listeners', () => {
  let store = new Value({ a: 1, b: 1 })
  let part = new Part(store, () => store.get().a)
  let seen = []
  let end = part.listen(value => seen.push(value))
  store.set({ a: 1, b: 2 })
  store.set({ a: 2, b: 2 })
  assert.deepEqual(seen, [2])
  assert.equal(store.lc, 1)
  end()
  assert.equal(store.lc, 0)
  part.watch(() => {})
  part.off()
  assert.equal(store.lc, 0)
})
