// Tokens that end, in Node.js, against `logux serve` without `--dev`.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { sign } from '../../../tests/interop/helper/jwt.js'
import { startServer, until } from './people.js'

const SECRET = 'a secret of at least thirty-two bytes'

let people

before(async () => {
  let args = ['--secret', SECRET]
  people = await startServer({ args, collections: [], documents: ['notes'] })
})

after(() => people.end())

function token(seconds) {
  return sign({ exp: Math.floor(Date.now() / 1000) + seconds, sub: 'ada' }, SECRET)
}

test('a client asks for a new token when the server refuses the last one', async () => {
  let asked = []
  let ada = await people.client('ada', {
    token: async () => {
      asked.push(asked.length === 0 ? token(-3600) : token(3600))
      return asked.at(-1)
    }
  })
  let note = ada.document('notes', '1')
  await note.set('title', 'Tea')
  assert.equal(asked.length, 2)
  assert.equal(ada.connected, true)
  assert.equal(ada.unsaved, 0)
})

test('a token that is refused twice ends the attempts, and nothing is lost', async () => {
  let problems = []
  let ada = await people.client('ada', { token: () => token(-3600) })
  ada.on('error', problem => problems.push(problem))
  let note = ada.document('notes', '2')
  note.set('title', 'Tea')
  await until(() => ada.status === 'wrongCredentials', () => `a refusal: ${ada.status}`)
  await until(() => problems.length > 1, () => `an error: ${problems}`)
  assert.deepEqual(note.get(), { title: 'Tea' })
  assert.equal(ada.unsaved, 1)
})
