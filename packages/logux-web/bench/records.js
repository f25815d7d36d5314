// 10,000 records in a filtered list: until the first rows and all are shown, a change, memory.

import { WebSocket } from 'ws'

import { open } from '../src/index.js'
import { pageScript } from './bundles.js'
import { newPage } from './chromium.js'
import { startLogux } from './servers.js'
import { median, printTable, spread } from './statistics.js'
import { wanted } from './wanted.js'

const COUNT = Number(process.env.BENCH_RECORDS ?? 10_000)
const CHANGES = 20
/** @logux/client subscribes to each record. */
const LIMITS = ['--max-subscriptions', String(2 * COUNT)]

/** How a list is opened. `isKept`: from IndexedDB, by a reload. */
const SUBJECTS = {
  'logux, from IndexedDB': { adapter: 'logux', isKept: true },
  '@logux/client, from IndexedDB': { adapter: 'official', isKept: true },
  'logux, from the server': { adapter: 'logux' },
  '@logux/client, from the server': { adapter: 'official' }
}

export async function measureRecords({ browser, pages, rounds, saveProfile }) {
  let server = await startLogux({ args: ['--collection', 'tasks', ...LIMITS] })
  await createRecords(server.url)
  let subjects = []
  for (let [name, subject] of wanted(SUBJECTS)) {
    let { adapter, isKept } = subject
    pages.files[`records-${adapter}.js`] ??= await pageScript('records', `records-${adapter}.js`)
    let parameters = new URLSearchParams({ count: COUNT, server: server.url })
    if (isKept) parameters.set('store', 'app')
    let url = `${pages.url}records-${adapter}?${parameters}`
    let context
    if (isKept) {
      context = await browser.newContext()
      let page = await openPage(context, url)
      await page.evaluate(() => window.kept())
      await page.close()
    }
    subjects.push({ ...subject, context, name, results: [], url })
  }
  for (let round = 0; round < rounds; round += 1) {
    for (let { context, name, results, url } of subjects) {
      let isOwn = !context
      if (isOwn) context = await browser.newContext()
      try {
        results.push(await measure(context, url))
        console.error(`records: ${name}: ${JSON.stringify(results.at(-1))}`)
      } catch (error) {
        if (error.name !== 'TimeoutError') throw error
        console.log(`${name}: not all records within a minute in round ${round}`)
      }
      if (saveProfile && round === 0) {
        let page = await newPage(context)
        await saveProfile(`records ${name}`, page, async () => {
          await page.goto(url)
          await page.evaluate(() => window.result)
        })
        await page.close()
      }
      if (isOwn) await context.close()
    }
  }
  let columns = {
    'first rows, ms': 'first',
    'all records, ms': 'all',
    'longest task, ms': 'longest',
    'a change, ms': 'change',
    'until painted, ms': 'changePainted',
    'memory, MB': 'memory'
  }
  printTable([
    ['', ...Object.keys(columns)],
    ...subjects.map(({ name, results }) => [
      name,
      ...Object.values(columns).map(key => {
        let values = results.map(result => result[key])
        // The browser tells only of longer tasks.
        return key === 'longest' && median(values) === 0 ? 'under 50' : spread(values)
      })
    ])
  ])
  for (let { context } of subjects) await context?.close()
  await server.end()
}

/** Creates the records, and a quarter as many that the filter leaves out. */
async function createRecords(url) {
  let client = await open({ server: url, userId: 'writer', WebSocket })
  let tasks = client.records('tasks', { filter: { done: 'unknown' } })
  await tasks.loading
  let pending = []
  for (let index = 0; index < COUNT * 1.25; index += 1) {
    let fields = { done: index >= COUNT, list: `list ${index % 20}`, title: `Task ${index}` }
    let action = { fields, id: String(100_000 + index), type: 'tasks/create' }
    pending.push(client.sync(action))
    if (pending.length === 500) await Promise.all(pending.splice(0))
  }
  await Promise.all(pending)
  await client.close()
}

async function openPage(context, url) {
  let page = await newPage(context)
  await page.goto(url)
  // Unlike `evaluate`, this has a limit.
  await page.waitForFunction(() => window.isComplete, undefined, { timeout: 60_000 })
  return page
}

async function measure(context, url) {
  let page = await openPage(context, url)
  let opened = await page.evaluate(() => window.result)
  let memory = await memoryOf(page)
  // What has changed in an earlier round has another title.
  let word = `Changed at ${Date.now()}`
  let changes = await page.evaluate(it => window.changeSome(...it), [CHANGES, word])
  let rows = await page.locator('li').allTextContents()
  if (!rows.some(text => text.startsWith(`${word} ${CHANGES - 1}`))) throw new Error('not shown')
  await page.close()
  let middle = key => median(changes.map(it => it[key]))
  return { ...opened, change: middle('change'), changePainted: middle('painted'), memory }
}

/** Returns the megabytes of JavaScript, and of WebAssembly, after a collection of garbage. */
async function memoryOf(page) {
  let cdp = await page.context().newCDPSession(page)
  await cdp.send('HeapProfiler.enable')
  for (let times = 0; times < 3; times += 1) await cdp.send('HeapProfiler.collectGarbage')
  let heap = await cdp.send('Runtime.getHeapUsage')
  await cdp.detach()
  let module = await page.evaluate(() => window.module())
  return (heap.usedSize + heap.backingStorageSize + module) / 1e6
}
