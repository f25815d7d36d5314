// Pages in Chromium, with a client of `logux serve` in each.

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname } from 'node:path'
import { after, before } from 'node:test'
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

/** Why the tests are skipped: there is no Chromium. */
export let skip = existsSync(CHROMIUM) ? false : `there is no ${CHROMIUM}`
export let server
let browser, pages, address

before(async () => {
  if (skip) return
  server = await serve({ collections: ['tasks'], documents: ['notes'] })
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
export async function load(page, userId, id = '1') {
  await page.goto(address)
  await page.evaluate(
    async ({ id, url, userId }) => {
      let { open } = await import('/src/index.js')
      window.client = await open({ server: url, store: 'app', userId })
      window.note = window.client.document('notes', id)
      window.tasks = window.client.records('tasks')
    },
    { id, url: server.url, userId }
  )
}

/** Ends the process of a page. */
export async function crash(page) {
  let crashed = new Promise(resolve => page.once('crash', resolve))
  page.goto('chrome://crash').catch(() => {})
  await crashed
}

/** Opens a browser with a page for a user. */
export async function person(userId) {
  let context = await browser.newContext()
  let page = await context.newPage()
  page.on('pageerror', error => console.error(`${userId}: ${error}`))
  await load(page, userId)
  return { context, page }
}

/** Waits until a page shows a text. */
export let shows = (page, text) =>
  page.waitForFunction(text => window.note.get('text') === text, text, { timeout: 8000 })
