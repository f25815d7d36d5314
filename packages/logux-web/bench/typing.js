// 20 people type into one text of 100 KB, and another window shows it. The time of a key.

import { fork } from 'node:child_process'
import { join } from 'node:path'

import { pageScript } from './bundles.js'
import { newPage } from './chromium.js'
import { randomText } from './random.js'
import { startLogux, startScript } from './servers.js'
import { number, percentile, printTable, spread } from './statistics.js'
import { trace } from './trace.js'
import { isWanted, wanted } from './wanted.js'

const OTHERS = Number(process.env.BENCH_OTHERS ?? 19)
/** Milliseconds from one key of a person to the next. */
const INTERVAL = 200
/** The number of measured keys of a round, and how long people type before them. */
const KEYS = Number(process.env.BENCH_KEYS ?? 50)
const WARM_UP = 3000
const FIRST = 0x4e00
const SIZE = 100_000

const RELAY = () => startScript('relay.js')
const Y_SERVER = () => startScript('node_modules/@y/websocket-server/src/server.js')
const LOGUX = () => startLogux({ args: ['--document', 'notes'] })

const SUBJECTS = {
  'an editor alone': { adapter: 'plain' },
  logux: { adapter: 'logux', server: LOGUX },
  'yjs, y-websocket': { adapter: 'yjs', server: Y_SERVER },
  'loro, a relay': { adapter: 'loro', server: RELAY }
}

let pause = delay => new Promise(resolve => setTimeout(resolve, delay))

export async function measureTyping({ browser, pages, rounds, saveProfile }) {
  let text = randomText(3, SIZE)
  pages.files['base-text'] = text
  let subjects = []
  for (let [name, subject] of wanted(SUBJECTS)) {
    let { adapter } = subject
    pages.files[`typing-${adapter}.js`] ??= await pageScript('typing', `typing-${adapter}.js`)
    subjects.push({ ...subject, name, results: [] })
  }
  for (let round = 0; round < rounds; round += 1) {
    for (let subject of subjects) {
      let profile = round === 0 && saveProfile
      subject.results.push(await measure({ browser, pages, profile, round, subject, text }))
      console.error(`typing: ${subject.name}: ${JSON.stringify(subject.results.at(-1))}`)
    }
  }
  let columns = {
    'key, p50, ms': 'key50',
    'p95': 'key95',
    'p95, processor': 'processor95',
    'busy, %': 'busy',
    'other window, %': 'otherBusy',
    'to the other window, p50, ms': 'arrived50',
    'p95 ': 'arrived95',
    'painted, p95': 'painted95'
  }
  printTable([
    ['', ...Object.keys(columns)],
    ...subjects.map(({ name, results }) => [
      name,
      ...Object.values(columns).map(key => spread(results.map(result => result[key])))
    ])
  ])
  if (isWanted('automerge')) await measureAutomerge({ browser, pages })
}

/**
 * Prints what a key costs in Automerge itself: an editor that shows what 19 others type does not
 * keep up.
 */
async function measureAutomerge({ browser, pages }) {
  pages.files['library.js'] ??= await pageScript('library')
  let context = await browser.newContext()
  let page = await newPage(context)
  page.setDefaultTimeout(600_000)
  await page.goto(`${pages.url}library?keys=${KEYS}`)
  let { edit, one, receive } = await page.evaluate(() => window.result)
  let both = times => {
    let [p50, p95] = [0.5, 0.95].map(part => number(percentile(times, part)))
    return `p50 ${p50}, p95 ${p95} ms`
  }
  console.log(`automerge, without an editor: a key with its change ${both(edit)};`)
  console.log(`a change of another one ${both(one)}; 18 in one call ${both(receive)}`)
  await context.close()
}

/** A process with the people of a library. */
class People {
  #child

  constructor(library) {
    this.#child = fork(join(import.meta.dirname, 'people.js'), [library])
    process.once('exit', () => this.#child.kill('SIGKILL'))
  }

  call(command, options = {}) {
    let child = this.#child
    return new Promise((resolve, reject) => {
      let failed = code => reject(new Error(`the people have ended with ${code}`))
      child.once('exit', failed)
      child.once('message', ({ value }) => {
        child.off('exit', failed)
        resolve(value)
      })
      child.send({ command, options })
    })
  }

  end() {
    this.#child.disconnect()
  }
}

/** Where the others type: the first five where the editors show it, the others anywhere. */
function places() {
  return Array.from({ length: OTHERS }, (_, index) => {
    return index < 5 ? 300 + index * 250 : Math.floor((index * SIZE) / OTHERS)
  })
}

async function measure({ browser, pages, profile, round, subject, text }) {
  let { adapter } = subject
  let room = `room${round}`
  let server = await subject.server?.()
  let people = server && new People(adapter)
  let base = await people?.call('prepare', { room, server: server.url, text })
  await people?.call('join', { base, places: places(), room, server: server.url })
  pages.files['base-bytes'] = base && Buffer.from(base, 'base64')

  let parameters = new URLSearchParams({ room })
  parameters.set('base', base ? '/base-bytes?' + `${adapter}${round}` : '/base-text')
  if (server) parameters.set('server', server.url)
  let windows = []
  for (let user of ['typist', 'watcher']) {
    let context = await browser.newContext()
    let page = await newPage(context)
    await page.goto(`${pages.url}typing-${adapter}?${parameters}&user=${user}`)
    await page.evaluate(() => window.result)
    windows.push({ context, page })
  }
  let [typist, watcher] = windows.map(({ page }) => page)
  await typist.evaluate(() => window.goTo(500))
  await people?.call('type', { interval: INTERVAL })
  await pause(WARM_UP)

  let press = () => typeKeys(typist)
  if (profile) await profile(`typing ${subject.name}`, typist, press)
  let traced = await trace(browser, async () => {
    await typist.evaluate(() => performance.mark('main thread of typist'))
    await watcher.evaluate(() => performance.mark('main thread of watcher'))
    let start = performance.now()
    await press()
    return performance.now() - start
  })
  await people?.call('stop')
  await sameTexts(windows, people, subject.name)
  let times = await Promise.all([typist, watcher].map(page => page.evaluate(() => {
    let { arrived, painted, pressed } = window
    return { arrived, painted, pressed }
  })))
  for (let { context } of windows) await context.close()
  people?.end()
  await server?.end()
  return summary(traced, times, Boolean(people))
}

/** Presses keys, each with a letter of its own. */
async function typeKeys(page) {
  let cdp = await page.context().newCDPSession(page)
  let next = performance.now()
  for (let index = 0; index < KEYS; index += 1) {
    let key = String.fromCharCode(FIRST + index)
    await cdp.send('Input.dispatchKeyEvent', { key, text: key, type: 'keyDown' })
    await cdp.send('Input.dispatchKeyEvent', { key, type: 'keyUp' })
    next += INTERVAL
    await pause(Math.max(0, next - performance.now()))
  }
  await cdp.detach()
}

/** Waits until both windows and all people have the same text, with all keys. */
async function sameTexts(windows, people, name) {
  let texts
  for (let left = 100; left > 0; left -= 1) {
    let shown = await Promise.all(windows.map(({ page }) => page.evaluate(() => window.shown())))
    texts = people ? [...shown, ...(await people.call('text'))] : shown.slice(0, 1)
    let letters = [...texts[0]].filter(it => it.charCodeAt(0) >= FIRST).length
    if (new Set(texts).size === 1 && letters >= KEYS) return
    await pause(100)
  }
  throw new Error(`${name}: the texts differ: ${texts.map(text => text.length)}`)
}

function summary({ threads, value: duration }, [typist, watcher], isShared) {
  let { tasks } = threads.get('typist')
  let busy = name => {
    let sum = threads.get(name).tasks.reduce((sum, { processor }) => sum + processor, 0)
    return (100 * sum) / duration
  }
  let keys = keyTimes(tasks)
  let since = times => {
    return Object.entries(times).map(([letter, time]) => time - typist.pressed[letter])
  }
  let all = { arrived: since(watcher.arrived), painted: since(watcher.painted) }
  return {
    arrived50: isShared ? percentile(all.arrived, 0.5) : undefined,
    arrived95: isShared ? percentile(all.arrived, 0.95) : undefined,
    busy: busy('typist'),
    key50: percentile(keys.map(({ length }) => length), 0.5),
    key95: percentile(keys.map(({ length }) => length), 0.95),
    keys: keys.length,
    otherBusy: isShared ? busy('watcher') : undefined,
    painted95: isShared ? percentile(all.painted, 0.95) : undefined,
    processor95: percentile(keys.map(({ processor }) => processor), 0.95)
  }
}

/** The events of a key. A key has them in one task, or in some. */
const KEY_EVENTS = new Set(['beforeinput', 'input', 'keydown', 'keypress', 'keyup', 'textInput'])

/** Returns the length and the processor time of the tasks that handle the events of each key. */
function keyTimes(tasks) {
  let keys = []
  for (let { end, events, processor, start } of tasks) {
    if (!events.some(it => KEY_EVENTS.has(it))) continue
    if (events.includes('keydown')) keys.push({ length: 0, processor: 0 })
    let key = keys.at(-1)
    if (!key) continue
    key.length += end - start
    key.processor += processor
  }
  return keys
}
