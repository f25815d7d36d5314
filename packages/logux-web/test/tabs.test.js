// Tabs of one browser that share a store, in Chromium.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { crash, load, person, server, shows, skip } from './pages.js'

/** Waits until a page lists the tasks with these titles. */
let lists = (page, titles) =>
  page.waitForFunction(
    titles => window.tasks.get().map(({ title }) => title).join() === titles.join(),
    titles,
    { timeout: 8000 }
  )

/** Waits until a page shows that these people are in the document. */
let sees = (page, names) =>
  page.waitForFunction(
    names => Object.values(window.note.others).map(({ name }) => name).join() === names.join(),
    names,
    { timeout: 8000 }
  )

test('two tabs of a person share a store, also without a connection', { skip }, async () => {
  let [ada, bob] = [await person('ada'), await person('bob')]
  let tabs = [ada.page]
  for (let number of [2, 3]) {
    tabs.push(await ada.context.newPage())
    tabs.at(-1).on('pageerror', error => console.error(`tab ${number}: ${error}`))
    await load(tabs.at(-1), 'ada', '2')
  }
  await load(ada.page, 'ada', '2')
  await load(bob.page, 'bob', '2')
  await ada.page.evaluate(() => window.note.text('text').set('one'))
  for (let page of [...tabs, bob.page]) await shows(page, 'one')
  let isKept = page => page.evaluate(() => window.client.isKept)
  assert.deepEqual(await Promise.all(tabs.map(isKept)), [true, true, true])
  let ids = await Promise.all(tabs.map(page => page.evaluate(() => window.client.nodeId)))
  assert.equal(new Set(ids.map(id => id.split(':')[1])).size, 1, 'they are one client')
  assert.equal(new Set(ids).size, 3, 'with a node id for each tab')

  // Without a connection, they see each other.
  await server.stop('SIGKILL')
  await tabs[1].evaluate(async () => {
    window.note.text('text').insert(3, ' two')
    await window.client.kept
  })
  for (let page of tabs) await shows(page, 'one two')
  await tabs[2].evaluate(() => void window.note.text('text').insert(0, 'zero '))
  for (let page of tabs) await shows(page, 'zero one two')
  await tabs[0].waitForFunction(() => window.client.unsaved === 2)
  await tabs[1].waitForFunction(() => window.client.unsaved === 2)

  // Records too.
  await tabs[1].evaluate(() => void window.tasks.create({ title: 'Tea' }))
  for (let page of tabs) await lists(page, ['Tea'])

  // Whichever tab leads is closed; then it is killed.
  let leads = page => page.evaluate(() => window.client.isLeader)
  for (let kill of [page => page.close(), page => crash(page)]) {
    let roles = await Promise.all(tabs.map(leads))
    assert.deepEqual([...roles].sort(), [...roles.slice(1).map(() => false), true])
    let [leader] = tabs.splice(roles.indexOf(true), 1)
    await kill(leader)
    await Promise.any(tabs.map(page => page.waitForFunction(() => window.client.isLeader)))
    let text = kill.toString().includes('crash') ? ' four' : ' three'
    await tabs[0].evaluate(text => {
      let body = window.note.text('text')
      body.insert(body.get().length, text)
    }, text)
    let expected = text === ' four' ? 'zero one two three four' : 'zero one two three'
    for (let page of tabs) await shows(page, expected)
  }
  let isSaved = page => page.evaluate(() => window.isSaved)
  for (let page of tabs) {
    await page.evaluate(() => {
      window.isSaved = false
      window.note.saved.then(() => (window.isSaved = true))
    })
  }
  assert.deepEqual(await Promise.all(tabs.map(isSaved)), tabs.map(() => false))
  await server.start()
  for (let page of tabs) await page.waitForFunction(() => window.isSaved)
  for (let page of [...tabs, bob.page]) await shows(page, 'zero one two three four')
  await lists(bob.page, ['Tea'])
  await bob.page.evaluate(() => window.note.setPresence({ name: 'Bob' }))
  for (let page of tabs) await sees(page, ['Bob'])
  await tabs.at(-1).evaluate(() => window.note.setPresence({ name: 'Ada' }))
  await sees(bob.page, ['Ada'])
  // One who leads undoes what it has done before.
  await tabs[0].evaluate(() => window.note.undo())
  await shows(bob.page, 'zero one two three')
  await ada.context.close()
  await bob.context.close()
})

test('a store is of one user', { skip }, async () => {
  let ada = await person('ada')
  let second = await ada.context.newPage()
  await assert.rejects(load(second, 'bob'), /expected the user ada/)
  await ada.context.close()
})
