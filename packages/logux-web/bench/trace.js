// Tasks of the main thread of a page, from a trace of Chromium.

const CATEGORIES = ['-*', 'toplevel', 'devtools.timeline', 'blink.user_timing', '__metadata']

/** What a page marks the thread with: the rest of the mark is the name of the thread. */
const MARK = 'main thread of '

/**
 * Calls a function while the browser is traced. Returns its value, and the main threads that have
 * marked themselves, by their names: `{ navigated, tasks }`, with the time of the latest
 * navigation. A task has its `start` and `end`, in milliseconds of one clock, its `processor` time,
 * which is less than its length while other processes run, and the names of the DOM `events` that
 * it dispatches.
 */
export async function trace(browser, run) {
  await browser.startTracing(undefined, { categories: CATEGORIES, screenshots: false })
  let value = await run()
  let { traceEvents } = JSON.parse(await browser.stopTracing())
  return { threads: mainThreads(traceEvents), value }
}

function mainThreads(events) {
  let marked = new Map()
  for (let { args, cat, name, pid, tid, ts } of events) {
    if (!cat.includes('blink.user_timing') || !name.startsWith(MARK)) continue
    // The time of a mark is that of the clock of the page.
    let navigated = (ts - 1000 * (args.data?.startTime ?? 0)) / 1000
    marked.set(`${pid} ${tid}`, { events: [], name: name.slice(MARK.length), navigated, tasks: [] })
  }
  for (let { args, cat, dur = 0, name, ph, pid, tdur = 0, tid, ts } of events) {
    let thread = marked.get(`${pid} ${tid}`)
    if (!thread || ph !== 'X') continue
    if (cat.includes('toplevel') && name.endsWith('RunTask')) {
      let [start, end, processor] = [ts, ts + dur, tdur].map(it => it / 1000)
      thread.tasks.push({ end, events: [], processor, start })
    } else if (name === 'EventDispatch') {
      thread.events.push({ at: ts / 1000, type: args.data.type })
    }
  }
  return new Map(
    [...marked.values()].map(({ events, name, navigated, tasks }) => {
      tasks = withEvents(outermost(tasks), events)
      return [name, { navigated, tasks: tasks.filter(({ end }) => end >= navigated) }]
    })
  )
}

/** Returns the tasks that are in no other task, by time. */
function outermost(tasks) {
  let end = -Infinity
  return tasks
    .sort((a, b) => a.start - b.start || b.end - a.end)
    .filter(task => {
      if (task.start < end) return false
      end = task.end
      return true
    })
}

function withEvents(tasks, events) {
  events.sort((a, b) => a.at - b.at)
  let at = 0
  for (let task of tasks) {
    while (at < events.length && events[at].at < task.start) at += 1
    while (at < events.length && events[at].at <= task.end) task.events.push(events[at++].type)
  }
  return tasks
}
