// Changes of a text at the same time.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { applyChanges, difference, mapPosition, rebase } from '../src/changes.js'
import { randomNumbers } from './random.js'

/** Returns random changes of a text that insert a letter. */
function changesOf(text, random, letter) {
  let changes = []
  let at = 0
  for (let count = random(3) + 1; count > 0 && at <= text.length; count -= 1) {
    let from = at + random(text.length - at + 1)
    let to = Math.min(text.length, from + random(2) * random(4))
    let insert = letter.repeat(random(3))
    if (to > from || insert) changes.push({ from, insert, to })
    at = to + 1
  }
  return changes
}

test('in both orders, changes at the same time give the same text', () => {
  let random = randomNumbers(1)
  for (let round = 0; round < 20000; round += 1) {
    let text = 'abcdefghij'.slice(0, random(11))
    let [one, other] = [changesOf(text, random, 'X'), changesOf(text, random, 'Y')]
    assert.equal(
      applyChanges(applyChanges(text, one), rebase(other, one)),
      applyChanges(applyChanges(text, other), rebase(one, other, true)),
      JSON.stringify({ one, other, text })
    )
  }
})

test('a position is before or after what is inserted at it', () => {
  let changes = [
    { from: 1, insert: 'xx', to: 1 },
    { from: 3, insert: 'y', to: 5 }
  ]
  let after = side => [0, 1, 2, 3, 4, 5, 6].map(at => mapPosition(changes, at, side))
  assert.deepEqual(after(-1), [0, 1, 4, 5, 6, 6, 7])
  assert.deepEqual(after(1), [0, 3, 4, 6, 6, 6, 7])
})

test('a difference is where the caret is, and has no halves of letters', () => {
  assert.equal(difference('a', 'a'), undefined)
  assert.deepEqual(difference('aaa', 'aaaa', 2), { from: 1, insert: 'a', to: 1 })
  assert.deepEqual(difference('aaaa', 'aaa', 1), { from: 1, insert: '', to: 2 })
  assert.deepEqual(difference('🌍', '🌎'), { from: 0, insert: '🌎', to: 2 })
  let random = randomNumbers(2)
  let letters = ['a', 'b', '🌍', '🌎']
  let text = () => Array.from({ length: random(6) }, () => letters[random(4)]).join('')
  for (let round = 0; round < 20000; round += 1) {
    let [before, after] = [text(), text()]
    let change = difference(before, after, random(after.length + 1))
    let made = change ? applyChanges(before, [change]) : before
    assert.equal(made, after)
    // A half of a letter would be replaced.
    let { insert = '' } = change ?? {}
    assert.equal(new TextDecoder().decode(new TextEncoder().encode(insert)), insert)
  }
})
