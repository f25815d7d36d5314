// The packed package in pages that bundlers have made, in Chromium.

import assert from 'node:assert/strict'
import { copyFile, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import * as esbuild from 'esbuild'
import * as vite from 'vite'
import * as vite7 from 'vite-7'
import webpack from 'webpack'

import { serve } from '../../../../tests/interop/helper/server.js'
import { openPage } from '../app-page.js'
import { launch, skip } from '../chromium.js'
import { serveFolder } from '../folder.js'
import { application } from '../packed.js'

/** The largest first script of the page, in bytes: it has nothing of the package. */
const FIRST = 5 * 1024

let app, browser, server

before(async () => {
  if (skip) throw new Error(skip)
  app = await application()
  server = await serve({ collections: [], documents: ['notes'] })
  await server.start()
  browser = await launch()
})

after(async () => {
  await browser?.close()
  await server?.destroy()
  await app?.remove()
})

/** A page edits a document, itself and in a worker, and loads the module at the first edit. */
async function edits(t, url, { moduleUrl, name, worker = true }) {
  let { close, compiled, edit, editIn, load, modules } = await openPage(browser, url, server)
  t.after(close)
  await load()
  assert.deepEqual(modules(), [])
  assert.equal(await edit(name, 'Tea', { module: moduleUrl }), 'Tea')
  assert.equal(modules().length, 1)
  assert.deepEqual(await compiled(), ['compileStreaming'])
  if (worker) assert.equal(await editIn('bundled', name), name)
}

/** Serves what a bundler has built, and tells the size of the scripts. `first` is loaded first. */
async function built(t, folder, first) {
  let files = await readdir(folder, { recursive: true })
  for (let file of files.filter(it => /\.(js|wasm)$/.test(it)).sort()) {
    let content = await readFile(join(folder, file))
    t.diagnostic(`${file}: ${content.length} bytes, gzip ${gzipSync(content).length}`)
    if (first.test(file)) assert.ok(content.length < FIRST, `${file} has ${content.length} bytes`)
  }
  assert.ok(files.some(it => first.test(it)))
  let { close, url } = await serveFolder(folder)
  t.after(close)
  return url
}

test('vite build', async t => {
  let outDir = join(app.folder, 'built-by-vite')
  let warnings = []
  let customLogger = { ...vite.createLogger('silent'), warn: text => warnings.push(text) }
  await vite.build({ build: { outDir }, configFile: false, customLogger, root: app.folder })
  assert.deepEqual(warnings, [])
  await edits(t, await built(t, outDir, /^assets\/index-/), { name: 'vite' })
})

/** Starts the server for developers of a version of Vite. Returns its address. */
async function dev(t, { createServer, version }, options = {}) {
  let settings = { cacheDir: `.${version}`, configFile: false, logLevel: 'error', root: app.folder }
  let running = await createServer({ ...settings, server: { port: 0 }, ...options })
  t.after(() => running.close())
  await running.listen()
  return `http://localhost:${running.httpServer.address().port}/`
}

test('vite 8 for developers', async t => {
  await edits(t, await dev(t, vite), { name: 'vite8' })
})

test('vite 7 for developers, which must not bundle the package', async t => {
  let options = { optimizeDeps: { exclude: ['logux-web'] } }
  await edits(t, await dev(t, vite7, options), { name: 'vite7' })
})

test('webpack', async t => {
  let path = join(app.folder, 'built-by-webpack')
  let stats = await promisify(webpack)({
    context: app.folder,
    entry: './main.js',
    mode: 'production',
    output: { filename: 'main.js', path },
    performance: false
  })
  let { errors, warnings } = stats.toJson()
  assert.deepEqual([errors, warnings], [[], []])
  await copyFile(join(app.folder, 'index.html'), join(path, 'index.html'))
  await edits(t, await built(t, path, /^main\.js$/), { name: 'webpack' })
})

test('esbuild, with the address of the module', async t => {
  let outdir = join(app.folder, 'built-by-esbuild')
  let { warnings } = await esbuild.build({
    absWorkingDir: app.folder,
    bundle: true,
    entryPoints: ['main.js'],
    format: 'esm',
    minify: true,
    outdir,
    splitting: true
  })
  assert.deepEqual(warnings, [])
  await copyFile(join(app.folder, 'index.html'), join(outdir, 'index.html'))
  let module = join(app.folder, 'node_modules/logux-web/dist/logux.wasm')
  await copyFile(module, join(outdir, 'logux.wasm'))
  let url = await built(t, outdir, /^main\.js$/)
  // esbuild makes no workers of `new Worker(new URL(…))`.
  await edits(t, url, { moduleUrl: '/logux.wasm', name: 'esbuild', worker: false })
})
