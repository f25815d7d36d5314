// The list of records in JavaScript, without the engine.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { LoguxRecords } from '../src/records.js'
import { randomNumbers } from './random.js'

test('a list stays sorted under random changes, and keeps the other records as they are', () => {
  for (let seed = 1; seed <= 50; seed += 1) {
    let random = randomNumbers(seed)
    let list = new LoguxRecords({}, 'tasks')
    let expected = new Map()
    for (let step = 0; step < 40; step += 1) {
      // Now and then many at once, from an empty list to one of hundreds.
      let count = random(5) === 0 ? random(200) : random(4)
      let ids = new Set(Array.from({ length: count }, () => String(random(500))))
      let changed = []
      let removed = []
      for (let id of ids) {
        if (random(3) === 0) removed.push(id)
        else changed.push({ id, step })
      }
      let before = list.get()
      let copy = [...before]
      list.take(changed, removed)
      assert.deepEqual(before, copy, 'what was read before stays as it was')

      for (let id of removed) expected.delete(id)
      for (let record of changed) expected.set(record.id, record)
      let sorted = [...expected.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
      let isSame = list.get().every((record, index) => record === sorted[index])
      assert.ok(isSame && list.get().length === sorted.length, `seed ${seed}, step ${step}`)
    }
  }
})
