// Pages in Chromium, with a client of `logux serve` in each.

import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname } from 'node:path'
import { after, before } from 'node:test'
import { fileURLToPath } from 'node:url'

import { serve } from '../../../tests/interop/helper/server.js'
import { crash, launch, skip } from './chromium.js'

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }
const PAGE = '<!doctype html><title>Test</title><script>window.ready = true</script>'

export { crash, skip }
export let server
let browser, pages, address, shown

before(async () => {
  if (skip) return
  server = await serve({ collections: ['tasks'], documents: ['notes'] })
  await server.start()
  pages = createServer(async (request, response) => {
    let path = new URL(request.url, 'http://localhost').pathname
    let file = fileURLToPath(new URL(`..${path}`, import.meta.url))
    let html = { '/': PAGE, '/shown': shown }[path]
    let content = html ?? (await readFile(file).catch(() => undefined))
    response.statusCode = content === undefined ? 404 : 200
    response.setHeader('Content-Type', TYPES[extname(path) || '.html'] ?? 'text/plain')
    response.end(content)
  })
  await new Promise(resolve => pages.listen(0, '127.0.0.1', resolve))
  address = `http://127.0.0.1:${pages.address().port}/`
  browser = await launch()
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

/** Returns a page of a new browser with this HTML. */
export async function show(html) {
  let page = await (await browser.newContext()).newPage()
  page.on('pageerror', error => console.error(String(error)))
  shown = html
  await page.goto(`${address}shown`)
  return page
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
