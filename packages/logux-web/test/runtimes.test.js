// The packed package in Node.js, on a server that renders pages, in pages without a bundler, and in
// workers. `bundlers/` has the tests with bundlers and Deno.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'

import { serve } from '../../../tests/interop/helper/server.js'
import { PATIENCE } from '../../../tests/interop/helper/wait.js'
import { openPage } from './app-page.js'
import { launch, skip } from './chromium.js'
import { serveFolder } from './folder.js'
import { application } from './packed.js'

const PEERS = ['@codemirror/state', '@codemirror/view', 'react', 'react-dom', 'ws']
const MODULE = '/node_modules/logux-web/dist/logux.wasm'
const ENTRY = '/node_modules/logux-web/src/index.js'

let app, browser, server

before(async () => {
  app = await application(PEERS)
  server = await serve({ collections: [], documents: ['notes'] })
  await server.start()
  if (!skip) browser = await launch()
})

after(async () => {
  await browser?.close()
  await server?.destroy()
  await app?.remove()
})

/** Runs a file of the application. Returns what it prints, when it has ended by itself. */
async function run(...args) {
  let options = { cwd: app.folder, timeout: PATIENCE }
  let { stdout } = await promisify(execFile)(process.execPath, args, options)
  return stdout.trimEnd()
}

/**
 * Opens the page of the application, with something in its head. `answer` answers requests in place
 * of its files.
 */
async function plainPage(t, answer = () => {}, head = '') {
  let html = await readFile(new URL('app/index.html', import.meta.url), 'utf8')
  let map = `<script type="importmap">{"imports":{"logux-web":"${ENTRY}"}}</script>`
  let page = [200, 'text/html', html.replace('<script', `${head}${map}$&`)]
  let files = await serveFolder(app.folder, path => (path === '/' ? page : answer(path)))
  t.after(() => files.close())
  let opened = await openPage(browser, files.url, server)
  t.after(() => opened.close())
  return { ...opened, served: () => files.served.filter(path => path.endsWith('.wasm')) }
}

test('Node.js', async () => {
  assert.equal(await run('node.js', server.url, 'node', 'Tea'), 'Tea')
})

test('a server that renders pages imports and renders all without a trace', async () => {
  let { changed, compiled, hasDom, html } = JSON.parse(await run('server-side.js'))
  assert.equal(hasDom, false)
  assert.deepEqual(changed, [], 'globals are changed')
  assert.deepEqual(compiled, [], 'a WebAssembly module is loaded')
  assert.match(html, /^<p>disconnected /)
  let shown = JSON.parse(html.slice(html.indexOf('{'), -'</p>'.length).replaceAll('&quot;', '"'))
  let task = { status: 'loading' }
  assert.deepEqual(shown, { others: {}, records: [], status: 'loading', task, value: '' })
})

test('a page without a bundler loads the module at the first open', { skip }, async t => {
  let { compiled, edit, load, modules } = await plainPage(t)
  await load()
  assert.deepEqual(modules(), [])
  let shown = await Promise.all([edit('one', 'Tea'), edit('other', 'Milk')])
  assert.deepEqual(shown, ['Tea', 'Milk'])
  assert.deepEqual(modules(), [MODULE], 'the clients of a page share the module')
  assert.deepEqual(await compiled(), ['compileStreaming'])
})

test('a server that does not know the type of the module', { skip }, async t => {
  let wasm = await readFile(new URL('../dist/logux.wasm', import.meta.url))
  for (let type of ['text/plain', 'application/octet-stream', 'application/wasm; charset=utf-8']) {
    let { compiled, edit } = await plainPage(t, path => path === MODULE && [200, type, wasm])
    assert.equal(await edit('type', type), type)
    assert.deepEqual(await compiled(), ['compile'])
  }
})

test('what is served in place of the module is named, and it can load later', { skip }, async t => {
  let wrong = [
    [404, 'text/plain', 'There is no such file.'],
    [200, 'text/html', '<!doctype html><title>The page of the application</title>']
  ]
  let { edit } = await plainPage(t, path => path === MODULE && wrong.shift())
  let failsWith = got => error => {
    assert.match(error.message, /expected a WebAssembly module at http:.*\/dist\/logux\.wasm, got/)
    assert.match(error.message, got)
    return true
  }
  await assert.rejects(edit('later', 'Tea'), failsWith(/got the status 404: see "Bundlers/))
  await assert.rejects(edit('later', 'Tea'), failsWith(/got text\/html: see "Bundlers/))
  assert.equal(await edit('later', 'Tea'), 'Tea')
})

test('a content security policy', { skip }, async t => {
  let page = sources => {
    let policy = `script-src 'self' 'unsafe-inline' ${sources}`
    let head = `<meta http-equiv="Content-Security-Policy" content="${policy}">`
    return plainPage(t, () => {}, head)
  }
  let { edit } = await page("'wasm-unsafe-eval'")
  assert.equal(await edit('policy', 'Tea'), 'Tea')
  let { edit: forbidden } = await page('')
  await assert.rejects(forbidden('policy', 'Tea'), /Content Security Policy/)
})

test('a worker, a shared worker and a service worker', { skip }, async t => {
  let { compiled, editIn, served } = await plainPage(t)
  for (let kind of ['dedicated', 'shared', 'service']) {
    assert.equal(await editIn(kind, kind), kind)
  }
  assert.deepEqual(served(), [MODULE, MODULE, MODULE])
  assert.deepEqual(await compiled(), [], 'the page itself has no module')
})
