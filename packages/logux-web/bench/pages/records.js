// A list of records. It shows the first hundred rows, as a list that is scrolled does.

import { open } from 'adapter'

import { painted } from './painted.js'

const ROWS = 100

/** The longest task so far; of those shorter than 50 ms, the browser does not tell. */
let longest = 0
new PerformanceObserver(list => {
  for (let { duration } of list.getEntries()) longest = Math.max(longest, duration)
}).observe({ buffered: true, type: 'longtask' })

/** The bytes of memory of WebAssembly. */
let memories = []
let { instantiate } = WebAssembly
WebAssembly.instantiate = async (...given) => {
  let made = await instantiate(...given)
  memories.push((made.instance ?? made).exports.memory)
  return made
}
window.module = () => memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)

let list = document.body.appendChild(document.createElement('ul'))
let count = document.body.appendChild(document.createElement('p'))
let rows = []
let shown = []

/** Shows records. Rows of records that are the same objects stay as they are. */
function show(records) {
  count.textContent = `${records.length} tasks`
  for (let index = 0; index < Math.min(ROWS, records.length); index += 1) {
    rows[index] ??= list.appendChild(document.createElement('li'))
    let record = records[index]
    if (shown[index] !== record) rows[index].textContent = `${record.title} – ${record.list}`
    shown[index] = record
  }
}

let parameters = new URLSearchParams(location.search)
let expected = Number(parameters.get('count'))
let tasks
let latest
let isScheduled = false
let afterRender = () => {}

/** Shows the latest records in the next frame, as frameworks do. */
function schedule(records) {
  latest = records
  if (isScheduled) return
  isScheduled = true
  requestAnimationFrame(() => {
    isScheduled = false
    show(latest)
    afterRender()
  })
}

async function start() {
  let first
  let complete
  let all = new Promise(resolve => (complete = resolve))
  afterRender = () => {
    if (latest.length > 0) first ??= painted()
    if (latest.length === expected) complete(painted())
  }
  tasks = await open(parameters)
  tasks.subscribe(schedule)
  let result = { all: await all, first: await first }
  // The entry of the last task comes after it.
  await new Promise(resolve => setTimeout(resolve, 100))
  window.isComplete = true
  return { ...result, longest }
}

window.changeSome = async (count, word) => {
  let times = []
  for (let index = 0; index < count; index += 1) {
    let rendered = new Promise(resolve => (afterRender = resolve))
    // At the same moment of a frame each time.
    await painted()
    let start = performance.now()
    tasks.change(latest[index].id, { title: `${word} ${index}` })
    let change = performance.now() - start
    await rendered
    times.push({ change, painted: (await afterPaint()) - start })
  }
  return times
}

/** Resolves with the time after the frame in which it is called. */
function afterPaint() {
  return new Promise(resolve => {
    let { port1, port2 } = new MessageChannel()
    port1.onmessage = () => resolve(performance.now())
    port2.postMessage(undefined)
  })
}

window.kept = () => tasks.kept()
window.result = start()
