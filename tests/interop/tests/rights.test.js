// The rules of `logux.toml`, with the official client.

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { lists } from '../helper/device.js'
import { scenario } from '../helper/scenario.js'

const RULES = `
[collections.tasks]
read = [{ owner = "owner" }, { members = "members" }]
change = [{ owner = "owner" }, { members = "members" }]
`

scenario('who is no member any more loses the record at once', async s => {
  let folder = await mkdtemp(join(tmpdir(), 'logux-interop-'))
  let config = join(folder, 'logux.toml')
  await writeFile(config, RULES)
  let server = await s.serve({ args: ['--dev', '--config', config], collections: ['tasks'] })
  await rm(folder, { recursive: true })
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  await alice.create('tasks', { id: '1', members: ['bob'], owner: 'alice', title: 'A' })
  await alice.create('tasks', { id: '2', members: [], owner: 'alice', title: 'B' })
  let atBob = await bob.filter('tasks', {})
  await lists(atBob, '1')
  let deletions = bob.hears('tasks/deleted')

  assert.equal(await alice.change('tasks', '1', { members: [] }), 'processed')
  await lists(atBob)
  let [deletion] = await deletions
  assert.deepEqual([deletion.id, deletion.reason], ['1', 'revoked'])
  let refused = await bob.change('tasks', '1', { title: 'mine' })
  assert.equal(refused.reason, 'denied')

  // A new member receives the record again.
  assert.equal(await alice.change('tasks', '1', { members: ['bob'] }), 'processed')
  await lists(atBob, '1')
  assert.equal(await bob.change('tasks', '1', { title: 'ours' }), 'processed')
})
