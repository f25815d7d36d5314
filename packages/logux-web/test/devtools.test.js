// The tools for developers: replayed logs, exported tests, and the panel in Chromium.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'

import { causesOf } from '../src/devtools/causes.js'
import { testOf } from '../src/devtools/export.js'
import { replay } from '../src/replay.js'
import { bundle, launch, servePage, skip } from './chromium.js'
import { startServer, until } from './people.js'

const PAGE = `
  import { devtools } from './src/devtools/index.js'
  import { open } from './src/index.js'

  window.start = async (server, userId) => {
    window.client = await open({ server, userId, wasm: fetch('/logux.wasm') })
    window.note = client.document('notes', 'panel')
    await note.loading
    window.remove = devtools(client)
  }
`

let people, clients, browser, pages
let problems = []

before(async () => {
  people = await startServer()
  clients = [await people.client('ada'), await people.client('bob')]
  if (skip) return
  pages = await servePage('<p>A page</p>', await bundle(PAGE))
  browser = await launch()
})

after(async () => {
  await browser?.close()
  pages?.close()
  await people?.end()
})

afterEach(() => assert.deepEqual(problems.splice(0), [], 'errors of the pages'))

/** Makes a document of two people, of which one has undone a step. */
async function written(id) {
  let [hers, his] = clients.map(client => client.document('notes', id))
  await Promise.all([hers.loading, his.loading])
  await hers.set('title', 'Tea')
  await hers.text('body').insert(0, 'Hello')
  await until(() => his.get('body') === 'Hello')
  his.text('body').insert(5, ' you')
  his.closeStep()
  his.set('title', 'Coffee')
  his.undo()
  await until(() => hers.get('body') === 'Hello you' && clients.every(it => it.unsaved === 0))
  await until(() => hers.get('title') === 'Tea')
  return hers
}

test('a log is replayed without a server', async () => {
  let note = await written('replayed')
  let logux = await replay(JSON.parse(JSON.stringify(clients[0].entries())))
  let copy = logux.document('notes', 'replayed')
  assert.deepEqual(copy.get(), note.get())
  assert.deepEqual(copy.history(), note.history())
  let [first] = copy.history()
  assert.deepEqual(copy.stateAt(first.id), { title: 'Tea' })
  assert.deepEqual(copy.text('body').authors(), note.text('body').authors())
  assert.throws(() => copy.set('title', 'x'), /cannot be edited/)
  logux.close()
  assert.throws(() => copy.get(), /closed/)
})

test('the actions that have made a value what it is are known', async () => {
  let note = await written('causes')
  let { causes, isCut, oldest } = causesOf(note, ['title'])
  assert.deepEqual(
    causes.map(({ after, before, id }) => [before, after, id.split(/[ :]/)[1]]),
    [[undefined, 'Tea', 'ada']],
    'without the action that was undone'
  )
  assert.deepEqual([isCut, oldest], [false, undefined])
  let body = causesOf(note, ['body']).causes.map(({ after }) => after)
  assert.deepEqual(body, ['Hello you', 'Hello'])
  assert.equal(causesOf(note, ['body'], 1).isCut, true)
})

/** Runs the text of a test, and returns its exit code. */
async function run(text) {
  let folder = await mkdtemp(join(tmpdir(), 'logux-web-'))
  try {
    let file = join(folder, 'exported.test.mjs')
    let url = new URL('../src/replay.js', import.meta.url)
    await writeFile(file, text.replace("'logux-web/replay'", `'${url}'`))
    let child = spawn(process.execPath, [file], { env: {}, stdio: 'ignore' })
    return await new Promise(resolve => child.once('exit', resolve))
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('a log is exported as a test', async () => {
  let note = await written('exported')
  let text = testOf(note, clients[0].entries())
  assert.match(text, /from 'logux-web\/replay'/)
  assert.equal(await run(text), 0)
  assert.equal(await run(text.replace('"Tea"\n', '"Coffee"\n')), 1)
})

test('the panel shows the log, earlier moments, and why a value is so', { skip }, async () => {
  let page = await browser.newPage()
  page.on('pageerror', error => problems.push(error.stack))
  await page.goto(pages.url)
  await page.evaluate(values => window.start(...values), [people.server.url, 'ada'])
  await page.evaluate(async () => {
    await note.set('title', 'Tea')
    note.closeStep()
    await note.set('title', 'Coffee')
    await note.edit({ op: 'insert', path: '/items', values: [{ name: 'milk' }] })
  })
  await page.getByRole('button', { name: 'Logux for developers: synchronized' }).click()
  let panel = page.locator('logux-devtools')
  let rows = panel.locator('.log > li')
  await rows.nth(2).waitFor()
  assert.equal(await rows.count(), 3)
  assert.match(await rows.first().innerText(), /notes\/edit[^]*milk[^]*notes\/panel[^]*processed/)
  await panel.getByLabel('Filter').fill('Coffee')
  await rows.nth(1).waitFor({ state: 'detached' })
  assert.match(await rows.innerText(), /Coffee/)

  await panel.getByRole('button', { exact: true, name: 'Documents' }).click()
  await panel.getByRole('button', { name: 'title' }).click()
  let why = await panel.locator('.why').innerText()
  assert.match(why, /Why is \/title so\?[^]*"Tea" → "Coffee"[^]*nothing → "Tea"/)
  await panel.getByRole('button', { name: 'One action back' }).click()
  await panel.getByRole('button', { name: 'One action back' }).click()
  assert.match(await panel.locator('.tree').innerText(), /title: "Tea"/)
  assert.doesNotMatch(await panel.locator('.tree').innerText(), /milk/)
  await panel.getByRole('button', { name: 'Export as a test' }).click()
  assert.match(await panel.getByLabel('Test').inputValue(), /let logux = await replay\(log\)/)

  await page.keyboard.press('Escape')
  await panel.locator('.panel').waitFor({ state: 'hidden' })
  await page.evaluate(() => window.remove())
  assert.equal(await panel.count(), 0)
})
