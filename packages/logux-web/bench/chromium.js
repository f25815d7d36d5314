// Chromium, and a server of pages for it.

import { createServer } from 'node:http'
import { chromium } from 'playwright-core'

const CHROMIUM = process.env.LOGUX_CHROMIUM ?? '/usr/bin/chromium'
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Windows that no one looks at are drawn as the others.
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
  '--enable-precise-memory-info'
]

export function launch() {
  return chromium.launch({ args: ARGUMENTS, executablePath: CHROMIUM })
}

const TYPES = { js: 'text/javascript', json: 'application/json', wasm: 'application/wasm' }
const HEAD =
  '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">' +
  '<style>body{margin:0;font:14px sans-serif}.cm-editor{height:600px}</style>'

/**
 * Serves scripts and other files by name until `close`. `/NAME` is a page with the script
 * `NAME.js`. As on a website, files may be kept by the browser; nothing is compressed.
 */
export async function servePages(files) {
  let server = createServer((request, response) => {
    let name = new URL(request.url, 'http://localhost').pathname.slice(1)
    let content = files[name]
    let type = TYPES[name.split('.').at(-1)] ?? 'application/octet-stream'
    if (content === undefined && files[`${name}.js`] !== undefined) {
      type = 'text/html'
      let script = `<script type="module" src="/${name}.js"></script>`
      content = `${HEAD}<title>${name}</title><body>${script}`
    } else {
      response.setHeader('Cache-Control', 'max-age=3600')
    }
    response.statusCode = content === undefined ? 404 : 200
    response.setHeader('Content-Type', type)
    response.end(content)
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  return { close: () => server.close(), files, url: `http://127.0.0.1:${server.address().port}/` }
}

/** Opens a page whose errors are printed. */
export async function newPage(context) {
  let page = await context.newPage()
  page.on('pageerror', error => console.error(String(error.stack ?? error)))
  page.on('console', message => {
    if (process.env.BENCH_VERBOSE || message.type() === 'error') console.error(message.text())
  })
  return page
}

/** Calls a function with a profile of the page's main thread, which is written to a file. */
export async function profile(page, run) {
  let cdp = await page.context().newCDPSession(page)
  await cdp.send('Profiler.enable')
  await cdp.send('Profiler.setSamplingInterval', { interval: 200 })
  await cdp.send('Profiler.start')
  await run()
  let { profile } = await cdp.send('Profiler.stop')
  await cdp.detach()
  return profile
}
