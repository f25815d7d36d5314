// Documents in several tabs of an official client, which share its connection.

import 'fake-indexeddb/auto'

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'

import { installBrowser } from '../../../tests/interop/helper/browser.js'
import {
  CrossTabClient,
  IndexedStore
} from '../../../tests/interop/node_modules/@logux/client/index.js'
import { within } from '../../../tests/interop/helper/wait.js'
import { documents } from '../src/official.js'
import { officials } from './official-people.js'
import { sameTexts, shown, startServer, until } from './people.js'
import { randomNumbers } from './random.js'

let people, official

before(async () => {
  people = await startServer()
  official = officials(people.server)
})

after(async () => {
  await official.end()
  await people.end()
})

let says = (note, text) => shown(note, it => it.get('text') === text)

for (let [name, create] of [
  ['a log in memory for each', () => undefined],
  ['a log in IndexedDB', user => new IndexedStore(user)]
]) {
  test(`tabs with ${name}`, async () => {
    installBrowser()
    let user = name.replaceAll(' ', '')
    let tab = () => official.open(user, { Class: CrossTabClient, store: create(user) })
    let [one, two] = [await tab(), await tab()]
    let bob = await people.client('bob')
    assert.deepEqual([one.client.role, two.client.role], ['leader', 'follower'])
    let his = bob.document('notes', user)
    let notes = [one, two].map(({ docs }) => docs.document('notes', user))
    for (let note of notes) await within(note.loading, 'the document')
    await notes[1].text('text').set('one')
    for (let note of [...notes, his]) await says(note, 'one')
    his.setPresence({ name: 'Bob' })
    for (let note of notes) {
      await shown(note, it => isDeepStrictEqual(Object.values(it.others), [{ name: 'Bob' }]))
    }

    // A tab that is new has what the others have received.
    let three = await tab()
    notes.push(three.docs.document('notes', user))
    await says(notes[2], 'one')
    await within(notes[2].loading, 'the document')

    // Without a connection, they see each other.
    await one.device.offline()
    await until(() => three.docs.state === 'disconnected', () => three.docs.state)
    notes[0].text('text').insert(3, ' two')
    await one.docs.kept
    notes[2].text('text').insert(0, 'zero ')
    await three.docs.kept
    for (let note of notes) await says(note, 'zero one two')
    let four = await tab()
    notes.push(four.docs.document('notes', user))
    await says(notes[3], 'zero one two')

    // One closes the document, and the others have it open.
    let others = await tab()
    others.docs.document('notes', user).close()
    await others.docs.close()

    // The tab that leads is closed, with what it has not sent.
    await one.end()
    notes.shift()
    await until(() => two.docs.state === 'synchronized', () => two.docs.state)
    assert.equal(two.client.role, 'leader')
    for (let note of [...notes, his]) await says(note, 'zero one two')
    await his.text('text').insert(0, '> ')
    for (let note of notes) await says(note, '> zero one two')
    await until(() => four.docs.unsaved === 0, () => four.docs.unsaved)
    // Each has its own undo.
    notes[1].undo()
    for (let note of [...notes, his]) await says(note, '> one two')

    // One closes the document while there is a connection.
    notes.pop().close()
    await his.text('text').insert(0, '>')
    for (let note of notes) await says(note, '>> one two')
    for (let it of [two, three, four]) await it.end()
  })
}

test('a tab without documents leads', async () => {
  installBrowser()
  let options = { Class: CrossTabClient }
  let plain = official.device('plain', options)
  let two = await official.open('plain', options)
  let bob = await people.client('bob')
  let [hers, his] = [two.docs.document('notes', 'plain'), bob.document('notes', 'plain')]
  await hers.text('text').set('one')
  await says(his, 'one')
  await plain.offline()
  await his.text('text').insert(3, ' two')
  hers.text('text').insert(0, 'zero ')
  await plain.online()
  for (let note of [hers, his]) await says(note, 'zero one two')
  await two.end()
  let docs = await documents(plain.client)
  await says(docs.document('notes', 'plain'), 'zero one two')
})

test('a tab that follows notices that the connection was lost for a moment', async () => {
  installBrowser()
  let tabs = []
  for (let number of [1, 2]) {
    tabs.push(await official.open('moment', { Class: CrossTabClient }))
    await within(tabs.at(-1).docs.document('notes', 'moment').loading, `document ${number}`)
  }
  let { inbox } = tabs[1].device
  inbox.forget()
  // The official client reads the state when it hears of a change: it is the same as before.
  for (let state of ['disconnected', 'synchronized']) {
    localStorage.setItem('logux:moment:state', JSON.stringify(state))
  }
  let subscribes = ([{ type }]) => type === 'logux/subscribe'
  let [{ since }] = await inbox.next(subscribes, 'a new subscription')
  assert.match(since.id, /server:/)
  for (let tab of tabs) await tab.end()
})

for (let seed of [1, 2]) {
  test(`tabs are opened and closed, type and lose the connection, seed ${seed}`, async () => {
    installBrowser()
    let below = randomNumbers(seed)
    let bob = await people.client('bob')
    let his = bob.document('notes', `random ${seed}`).text('text')
    let user = `tabs${seed}`
    let tabs = []
    let open = async () => {
      let store = seed % 2 === 0 ? new IndexedStore(user) : undefined
      let tab = await official.open(user, { Class: CrossTabClient, store })
      tabs.push({ ...tab, text: tab.docs.document('notes', `random ${seed}`).text('text') })
    }
    /** Connects, or disconnects, the tab that leads. */
    let connect = async isOnline => {
      let leader = () => tabs.find(({ client }) => client.role === 'leader')
      await until(leader, () => 'a tab that leads')
      let { connection } = leader().client.node
      if (connection.reconnecting === isOnline) return
      if (isOnline) return connection.connect()
      let { ws } = connection.connection
      connection.disconnect()
      // In Node.js, a socket has messages until it is closed, which the official client would take
      // for those of its next connection.
      if (ws && ws.readyState < 3) await new Promise(end => ws.addEventListener('close', end))
    }
    for (let step = 0; step < 150; step += 1) {
      let what = below(20)
      if (tabs.length === 0 || (what === 0 && tabs.length < 4)) {
        await open()
      } else if (what === 1) {
        // The lock of the emulated browser does not know that another one is gone.
        await tabs.shift().end()
      } else if (what === 2) {
        await connect(false)
      } else if (what < 5) {
        await connect(true)
      } else if (what < 7) {
        await new Promise(resolve => setTimeout(resolve, below(40)))
      } else {
        let text = [his, ...tabs.map(({ text }) => text)][below(tabs.length + 1)]
        let { length } = text.get()
        if (what < 15 || length === 0) text.insert(below(length + 1), String(step % 10))
        else text.remove(below(length))
        if (what === 14) text.document.undo()
      }
    }
    if (tabs.length === 0) await open()
    await connect(true)
    let texts = [his, ...tabs.map(({ text }) => text)]
    for (let { document } of texts) document.closeStep()
    let [text] = await sameTexts([bob, ...tabs.map(({ docs }) => docs)], texts)
    let fresh = await people.client('fresh')
    await says(fresh.document('notes', `random ${seed}`), text)
    for (let tab of tabs) await tab.end()
  })
}
