// The package in Chromium, against `logux serve`. Skipped where there is no Chromium.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { load, person, server, shows, skip } from './pages.js'

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
