// The work of benches/replay.rs and of the records, done by @logux/redux and @logux/client. Prints the median of five runs as a table.
import { TestClient, changeSyncMapById, createSyncMap, syncMapTemplate } from '@logux/client'
import { createStoreCreator } from '@logux/redux'

const RUNS = 5

async function median(work) {
  let times = []
  for (let run = 0; run < RUNS; run++) times.push(await work())
  return times.sort((a, b) => a - b)[RUNS >> 1]
}

async function timed(work) {
  let start = process.hrtime.bigint()
  await work()
  return Number(process.hrtime.bigint() - start)
}

// The same reducer as in replay.rs: it does not commute.
function reducer(state = 0, action) {
  return action.type === 'add' ? (((state << 1) | (state >>> 31)) ^ action.n) | 0 : state
}

async function newStore() {
  let client = new TestClient('10')
  await client.connect()
  let store = createStoreCreator(client)(reducer)
  await store.initialize
  return store
}

async function fill(store, count) {
  for (let n = 0; n < count; n++) await store.dispatch.crossTab({ n, type: 'add' }, { reasons: ['kept'] })
}

console.log('| Work | n | ns each |')
console.log('| --- | ---: | ---: |')
for (let count of [1000, 4000]) {
  let each = (await median(async () => {
    let store = await newStore()
    return timed(() => fill(store, count))
  })) / count
  console.log(`| Redux: append | ${count} | ${Math.round(each)} |`)
}
for (let [count, back] of [[1000, 100], [4000, 1000]]) {
  let ns = await median(async () => {
    let store = await newStore()
    await fill(store, count)
    // The memory store has the newest entry first.
    let [, last] = store.log.store.entries[back]
    let changed = new Promise(resolve => store.on('change', resolve))
    return timed(async () => {
      let id = `${parseInt(last.id)} 10:late:x 0`
      await store.dispatch.crossTab({ n: 7, type: 'add' }, { id, reasons: ['kept'], time: last.time })
      await changed
    })
  })
  console.log(`| Redux: a late action ${back} back | ${count} | ${Math.round(ns)} |`)
}
let each = (await median(async () => {
  let client = new TestClient('10')
  await client.connect()
  let Task = syncMapTemplate('tasks', { offline: true, remote: false })
  await createSyncMap(client, Task, { id: '1', title: 'x' })
  return timed(async () => {
    for (let n = 0; n < 1000; n++) await changeSyncMapById(client, Task, '1', { [`field${n % 10}`]: n })
  })
})) / 1000
console.log(`| Sync map: change of a field | 1000 | ${Math.round(each)} |`)
process.exit(0)
