// The package in Chromium, against `logux serve`. Skipped where there is no Chromium.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { load, person, server, show, shows, skip } from './pages.js'

test('two people in two browsers edit, one goes offline and reloads', { skip }, async () => {
  let [ada, bob] = [await person('ada'), await person('bob')]
  await ada.page.evaluate(() => window.note.text('text').set('Hello'))
  await shows(bob.page, 'Hello')
  await bob.page.evaluate(() => window.note.text('text').insert(5, ' you'))
  await shows(ada.page, 'Hello you')

  await server.stop('SIGKILL')
  await ada.page.evaluate(async () => {
    window.note.text('text').insert(0, 'Oh! ')
    await window.client.kept
  })
  // What was written without a connection survives the page.
  await load(ada.page, 'ada')
  await shows(ada.page, 'Oh! Hello you')
  assert.equal(await ada.page.evaluate(() => window.client.unsaved), 1)
  await bob.page.evaluate(() => void window.note.text('text').insert(9, '?'))
  await server.start()
  await shows(bob.page, 'Oh! Hello you?')
  await shows(ada.page, 'Oh! Hello you?')
  await ada.context.close()
  await bob.context.close()
})

test('the browser is offline', { skip }, async () => {
  let [ada, bob] = [await person('ada'), await person('bob')]
  let title = (page, value) =>
    page.waitForFunction(value => window.note.get('title') === value, value, { timeout: 20000 })
  await ada.page.evaluate(() => window.note.set('title', 'one'))
  await title(bob.page, 'one')
  await ada.context.setOffline(true)
  await ada.page.evaluate(() => void window.note.set('title', 'two'))
  await ada.context.setOffline(false)
  await title(bob.page, 'two')
})

test('the page of the README is a note that several people edit', { skip }, async () => {
  let readme = await readFile(new URL('../../../README.md', import.meta.url), 'utf8')
  let [html] = readme.match(/<!doctype html>\n<title>A note[^]*?<\/script>/)
  let local = html
    .replace("'logux-web'", "'/src/index.js'")
    .replace("'logux-web/input'", "'/src/input.js'")
    .replace('ws://127.0.0.1:31337', server.url)
    .replace("client.document('notes', '1')", "client.document('notes', 'readme')")
  let [one, other] = [await show(local), await show(local)]
  let isConnected = () => document.querySelector('output').value === 'synchronized'
  for (let page of [one, other]) await page.waitForFunction(isConnected)
  await one.locator('textarea').pressSequentially('Tea')
  let has = (page, text) =>
    page.waitForFunction(text => document.querySelector('textarea').value === text, text)
  await has(other, 'Tea')
  await other.locator('textarea').press('End')
  await other.locator('textarea').pressSequentially(' for two')
  await has(one, 'Tea for two')
  await one.locator('button').click()
  await has(other, ' for two')
})

test('a client goes on when its database is full or removed', { skip }, async () => {
  // The quota of Chromium cannot be changed in the browsers of tests.
  let makeFull = ({ page }) =>
    page.evaluate(() => {
      IDBObjectStore.prototype.put = () => {
        throw new DOMException('full', 'QuotaExceededError')
      }
    })
  let remove = async ({ context, page }) => {
    let cdp = await context.newCDPSession(page)
    let { origin } = new URL(page.url())
    await cdp.send('Storage.clearDataForOrigin', { origin, storageTypes: 'indexeddb' })
  }
  for (let [index, breakIt] of [makeFull, remove].entries()) {
    let [ada, bob] = [await person('ada'), await person('bob')]
    for (let { page } of [ada, bob]) await load(page, 'any', `full${index}`)
    await ada.page.evaluate(() => {
      window.problems = []
      window.client.on('error', ({ kind }) => window.problems.push(kind))
      return window.note.set('title', 'one')
    })
    await breakIt(ada)
    for (let word of ['two', 'three']) {
      let text = word.repeat(100_000)
      await ada.page.evaluate(text => window.note.text('text').set(text), text)
      await shows(bob.page, text)
    }
    assert.deepEqual(await ada.page.evaluate(() => window.problems), ['not-kept'])
    assert.equal(await ada.page.evaluate(() => window.client.isKept), false)
    await ada.page.evaluate(() => window.client.kept)
    // The next start has what was kept before, and receives the rest.
    await load(ada.page, 'any', `full${index}`)
    await shows(ada.page, 'three'.repeat(100_000))
    await ada.context.close()
    await bob.context.close()
  }
})
