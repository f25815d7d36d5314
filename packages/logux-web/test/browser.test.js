// The package in Chromium, against `logux serve`. Skipped where there is no Chromium.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

import { serve } from '../../../tests/interop/helper/server.js'

const CHROMIUM = process.env.LOGUX_CHROMIUM ?? '/usr/bin/chromium'
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]
const PAGE = '<!doctype html><title>Test</title><script>window.ready = true</script>'

let skip = existsSync(CHROMIUM) ? false : `there is no ${CHROMIUM}`
let server, browser, pages, address

before(async () => {
  if (skip) return
  server = await serve({ collections: [], documents: ['notes'] })
  await server.start()
  pages = createServer(async (request, response) => {
    let path = new URL(request.url, 'http://localhost').pathname
    let file = fileURLToPath(new URL(`..${path}`, import.meta.url))
    let content = path === '/' ? PAGE : await readFile(file).catch(() => undefined)
    response.statusCode = content === undefined ? 404 : 200
    response.setHeader('Content-Type', TYPES[extname(path) || '.html'] ?? 'text/plain')
    response.end(content)
  })
  await new Promise(resolve => pages.listen(0, '127.0.0.1', resolve))
  address = `http://127.0.0.1:${pages.address().port}/`
  browser = await chromium.launch({ args: ARGUMENTS, executablePath: CHROMIUM })
})

after(async () => {
  await browser?.close()
  pages?.close()
  await server?.destroy()
})

/** Opens a client and a document in a page. */
async function load(page, userId) {
  await page.goto(address)
  await page.evaluate(
    async ({ userId, url }) => {
      let { open } = await import('/src/index.js')
      window.client = await open({ server: url, store: 'app', userId })
      window.note = window.client.document('notes', '1')
    },
    { url: server.url, userId }
  )
}

async function person(userId) {
  let context = await browser.newContext()
  let page = await context.newPage()
  page.on('pageerror', error => console.error(`${userId}: ${error}`))
  await load(page, userId)
  return { context, page }
}

let shows = (page, text) =>
  page.waitForFunction(text => window.note.get('text') === text, text, { timeout: 8000 })

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

  // Only one tab has the database; the other one works, and keeps nothing.
  let second = await ada.context.newPage()
  await load(second, 'ada')
  await shows(second, 'Oh! Hello you?')
  let isKept = page => page.evaluate(() => window.client.isKept)
  assert.deepEqual([await isKept(ada.page), await isKept(second)], [true, false])
  await second.evaluate(() => window.note.text('text').insert(0, '2: '))
  await shows(ada.page, '2: Oh! Hello you?')
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
