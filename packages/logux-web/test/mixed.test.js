// One document for this package, `@logux/client` and a Rust client.

import { after, before, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'

import { Device, shows } from '../../../tests/interop/helper/device.js'
import { shownDocument } from '../../../tests/interop/helper/json-reducer.js'
import { RustDevice } from '../../../tests/interop/helper/rust-device.js'
import { shown, startServer } from './people.js'

let people, web, official, rusty

before(async () => {
  people = await startServer()
  web = await people.client('web')
  official = new Device(people.server, 'official')
  official.client.start()
  rusty = new RustDevice(people.server, 'rusty', 'any', ['notes', '1'])
})

after(async () => {
  official.client.destroy()
  await rusty.destroy()
  await people.end()
})

let officialShows = () => shownDocument(official, '1')

test('three kinds of clients edit one document', async () => {
  let note = web.document('notes', '1')
  await official.send({
    channel: 'notes/1',
    filter: { format: 'json' },
    type: 'logux/subscribe'
  })
  await note.text('text').set('Tea')
  await note.increment('likes', 2)
  await rusty.shows('likes', 2)
  rusty.operate({ at: 3, op: 'insertText', path: '/text', text: ' for two' })
  let change = { by: 3, op: 'increment', path: '/likes' }
  official.send({ changes: [change], id: '1', type: 'notes/change' })
  note.list('tasks').push('kettle')
  let expected = { likes: 5, tasks: ['kettle'], text: 'Tea for two' }
  await shown(note, it => isDeepStrictEqual(it.get(), expected))
  await official.inbox.next(() => isDeepStrictEqual(officialShows(), expected), 'the same')
  await shows(rusty.state, it => isDeepStrictEqual(it, expected), () => 'the same')
  // Everybody undoes only what they have done themselves: the list, and the increment by 2.
  note.undo()
  let left = { likes: 3, text: 'Tea for two' }
  await shown(note, it => isDeepStrictEqual(it.get(), left))
  await official.inbox.next(() => isDeepStrictEqual(officialShows(), left), 'the undo')
})
