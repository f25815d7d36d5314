// Documents in real tabs of an official client, in Chromium.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { bundle, crash, launch, servePage, skip } from './chromium.js'
import { shown, startServer, until } from './people.js'

const SCRIPT = `
  import {
    CrossTabClient,
    IndexedStore
  } from '../../tests/interop/node_modules/@logux/client/index.js'
  import { documents } from './src/official.js'

  window.load = async (server, isPersistent) => {
    let store = isPersistent ? new IndexedStore() : undefined
    window.client = new CrossTabClient({
      allowDangerousProtocol: true,
      maxDelay: 200,
      minDelay: 50,
      server,
      store,
      subprotocol: 1,
      userId: 'ada'
    })
    client.node.catch(() => {})
    client.start()
    window.docs = await documents(client, { wasm: fetch('/logux.wasm') })
    window.note = docs.document('notes', isPersistent ? '1' : '2')
  }
`

let people, browser, page

before(async () => {
  if (skip) return
  people = await startServer()
  browser = await launch()
  page = await servePage('', await bundle(SCRIPT))
})

after(async () => {
  await browser?.close()
  page?.close()
  await people?.end()
})

let shows = (tab, text) =>
  tab.waitForFunction(text => window.note.get('text') === text, text, { timeout: 8000 })

for (let isPersistent of [true, false]) {
  let store = isPersistent ? 'IndexedStore' : 'MemoryStore'
  test(`two tabs of CrossTabClient with ${store}`, { skip }, async () => {
    let context = await browser.newContext()
    let open = async () => {
      let tab = await context.newPage()
      tab.on('pageerror', error => console.error(String(error)))
      await tab.goto(page.url)
      await tab.evaluate(([url, is]) => window.load(url, is), [people.server.url, isPersistent])
      return tab
    }
    let tabs = [await open(), await open()]
    let bob = await people.client('bob')
    let his = bob.document('notes', isPersistent ? '1' : '2')
    await tabs[1].evaluate(() => window.note.text('text').set('one'))
    for (let tab of tabs) await shows(tab, 'one')
    await shown(his, it => it.get('text') === 'one')
    assert.deepEqual(
      await Promise.all(tabs.map(tab => tab.evaluate(() => window.client.role))),
      ['leader', 'follower']
    )

    // Without a connection, they see each other. Then, the tab that leads is killed.
    await people.server.stop('SIGKILL')
    for (let [number, tab] of tabs.entries()) {
      await tab.waitForFunction(() => window.docs.state !== 'synchronized')
      await tab.evaluate(async number => {
        let text = window.note.text('text')
        text.insert(text.get().length, ` ${number}`)
        await window.docs.kept
      }, number)
      for (let tab of tabs) await shows(tab, number === 0 ? 'one 0' : 'one 0 1')
    }
    await crash(tabs.shift())
    await tabs[0].waitForFunction(() => window.client.role === 'leader')
    tabs.push(await open())
    await shows(tabs[1], 'one 0 1')
    await people.server.start()
    await shown(his, it => it.get('text') === 'one 0 1')
    await his.text('text').insert(0, '> ')
    for (let tab of tabs) await shows(tab, '> one 0 1')
    await tabs[0].waitForFunction(() => window.docs.unsaved === 0)

    if (isPersistent) {
      // A reload without a connection.
      await people.server.stop('SIGKILL')
      await tabs[1].close()
      await tabs[0].goto(page.url)
      await tabs[0].evaluate(url => window.load(url, true), people.server.url)
      await shows(tabs[0], '> one 0 1')
      await people.server.start()
      await tabs[0].waitForFunction(() => window.note.status === 'ready')
    }
    await context.close()
    await until(() => bob.unsaved === 0)
  })
}
