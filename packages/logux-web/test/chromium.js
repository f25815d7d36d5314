// Pages of tests in Chromium.

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'

const CHROMIUM = process.env.LOGUX_CHROMIUM ?? '/usr/bin/chromium'
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]

/** Why tests in Chromium are skipped. `false`: they are not. */
export const skip = existsSync(CHROMIUM) ? false : `there is no ${CHROMIUM}`

export function launch() {
  return chromium.launch({ args: ARGUMENTS, executablePath: CHROMIUM })
}

/** Ends the process of a page. */
export async function crash(page) {
  let crashed = new Promise(resolve => page.once('crash', resolve))
  page.goto('chrome://crash').catch(() => {})
  await crashed
}

/** Returns a module with all that it imports, paths beginning at this package, as one script. */
export async function bundle(contents) {
  let bundle = await build({
    bundle: true,
    define: { 'import.meta.url': '"http://localhost/page.js"' },
    logLevel: 'silent',
    stdin: { contents, resolveDir: fileURLToPath(new URL('..', import.meta.url)) },
    write: false
  })
  return bundle.outputFiles[0].text
}

/** Serves a page with a script, and the WebAssembly module, until `close`. */
export async function servePage(html, script) {
  let wasm = await readFile(fileURLToPath(new URL('../dist/logux.wasm', import.meta.url)))
  let files = {
    '/': ['text/html', `<!doctype html><title>Test</title>${html}<script src="/page.js"></script>`],
    '/logux.wasm': ['application/wasm', wasm],
    '/page.js': ['text/javascript', script]
  }
  let server = createServer((request, response) => {
    let [type, content] = files[request.url] ?? ['text/plain', undefined]
    response.statusCode = content === undefined ? 404 : 200
    response.setHeader('Content-Type', type)
    response.end(content)
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  return { close: () => server.close(), url: `http://127.0.0.1:${server.address().port}/` }
}
