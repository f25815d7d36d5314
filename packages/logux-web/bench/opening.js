// From navigation to editable: a text of 100 KB with 100,000 actions of history, in IndexedDB.

import { pageScript } from './bundles.js'
import { newPage } from './chromium.js'
import { makeHistory } from './history.js'
import { startLogux } from './servers.js'
import { printTable, spread } from './statistics.js'
import { trace } from './trace.js'
import { wanted } from './wanted.js'
import { writeEdits } from './writer.js'

const COUNT = Number(process.env.BENCH_ACTIONS ?? 100_000)

/** How many of the actions are written last, to servers that settle what is older. */
const LAST = 1900

/** How long after the text can be edited tasks of the page are looked at, in milliseconds. */
const AFTER = 1000

/** The libraries, and for logux how many of the latest actions the server has not settled. */
const SUBJECTS = {
  'logux, settled but 100 to 200': { adapter: 'logux', open: 100 },
  'logux, settled but 2,000 to 4,000 (default)': { adapter: 'logux', open: 2000 },
  'logux, nothing settled': { adapter: 'logux', open: 10 * COUNT },
  'yjs, y-indexeddb': { adapter: 'yjs' },
  'loro, bytes of a snapshot': { adapter: 'loro' },
  'automerge, bytes': { adapter: 'automerge' }
}

export async function measureOpening({ browser, pages, rounds, saveProfile }) {
  let history = makeHistory(COUNT)
  let expected = history.text
  let isLogux = wanted(SUBJECTS).some(([, { open }]) => open)
  let first = isLogux ? await writeFirst(history) : undefined
  let subjects = []
  for (let [name, { adapter, open }] of wanted(SUBJECTS)) {
    for (let page of ['opening', 'filling']) {
      pages.files[`${page}-${adapter}.js`] ??= await pageScript(page, `opening-${adapter}.js`)
    }
    subjects.push(await prepare({ adapter, browser, first, history, name, open, pages }))
  }
  await first?.end()
  // In turns, because the speed of a machine varies over time.
  for (let round = 0; round < rounds; round += 1) {
    for (let subject of subjects) await measure(browser, subject, expected)
  }
  for (let { context, name, server, url } of subjects) {
    if (saveProfile) {
      let page = await newPage(context)
      await page.goto(url)
      await saveProfile(`opening ${name}`, page, async () => {
        await page.reload()
        await page.evaluate(() => window.result)
      })
    }
    await context.close()
    await server?.end()
  }
  printTable([
    [
      '',
      ...['editable, ms', 'longest task, ms', 'its processor time', 'tasks over 50 ms'],
      'longest in the second after it'
    ],
    ...subjects.map(({ name, results }) => [
      name,
      ...['editable', 'longest', 'longestProcessor', 'long', 'longestAfter'].map(key => {
        return spread(results.map(result => result[key]))
      })
    ])
  ])
  for (let { about, name } of subjects) if (about) console.log(`${name}: ${JSON.stringify(about)}`)
}

// By default a document has at most 4 MiB of actions and text, which are fewer open actions.
let config = open => `[documents.notes]\nmax_bytes = 1000000000\nopen_actions = ${open}\n`

/** Returns a server that has ended, and has all but the last actions. None is settled. */
async function writeFirst({ edits }) {
  let server = await startLogux({ config: config(10 * COUNT), isInMemory: true })
  await writeEdits(server.url, '1', edits.slice(0, -LAST))
  await server.stop()
  console.error('opening: the history is written')
  return server
}

/** Fills the database of a library in a browser of its own. */
async function prepare({ adapter, browser, first, history, name, open, pages }) {
  let parameters = new URLSearchParams({ count: COUNT, id: '1' })
  let server
  if (open) {
    let options = { config: config(open), copyOf: first.folder, isInMemory: true }
    server = await startLogux(options)
    let text = await writeEdits(server.url, '1', history.edits.slice(-LAST))
    if (text !== history.text) throw new Error('another text')
    parameters.set('server', server.url)
  }
  let context = await browser.newContext()
  let page = await newPage(context)
  page.setDefaultTimeout(600_000)
  await page.goto(`${pages.url}filling-${adapter}?${parameters}`)
  let about = await page.evaluate(() => window.filled)
  await page.close()
  console.error(`opening: ${name} is filled`)
  let url = `${pages.url}opening-${adapter}?${parameters}`
  return { about, context, name, results: [], server, url }
}

/** Opens the text by a reload in a new page. */
async function measure(browser, { context, name, results, url }, expected) {
  let page = await newPage(context)
  await page.goto(url)
  await page.evaluate(() => window.result)
  let { threads, value: stages } = await trace(browser, async () => {
    await page.reload()
    let stages = await page.evaluate(() => window.result)
    await new Promise(resolve => setTimeout(resolve, AFTER))
    return stages
  })
  // What is on the screen is the text, and a key changes it.
  let shown = await page.evaluate(() => window.shown())
  if (shown !== expected) throw new Error(`${name} shows another text`)
  await page.keyboard.press('Home')
  await page.keyboard.type('†')
  await page.waitForFunction(() => window.shown().startsWith('†'))
  await page.keyboard.press('Backspace')
  await page.waitForFunction(() => !window.shown().startsWith('†'))
  await page.waitForTimeout(300)
  await page.close()

  let { navigated, tasks } = threads.get('opening')
  let times = tasks.map(({ end, processor, start }) => {
    return { length: end - start, processor, start: start - navigated }
  })
  let longest = (list, key = 'length') => Math.max(0, ...list.map(it => it[key]))
  let before = times.filter(({ start }) => start < stages.editable)
  results.push({
    ...stages,
    long: before.filter(({ length }) => length > 50).length,
    longest: longest(before),
    longestProcessor: longest(before, 'processor'),
    longestAfter: longest(times.filter(({ start }) => start >= stages.editable))
  })
  console.error(`opening: ${name}: ${JSON.stringify(results.at(-1))}`)
}
