import './shift-clock.js'

import { parentPort, workerData } from 'node:worker_threads'

import { Device, has } from './device.js'
import { readTrace, clearTrace } from './trace.js'

let { url, userId } = workerData
let device = new Device({ url }, userId)
let records = new Map()

let methods = {
  async start() {
    await device.start()
  },
  offline: () => device.offline(),
  online: () => device.online(),
  create: (plural, value) => device.create(plural, value),
  change: (plural, id, fields) => device.change(plural, id, fields),
  /** Changes without waiting for the server. */
  changeOffline(plural, id, fields) {
    device.change(plural, id, fields).catch(() => {})
  },
  async watch(plural, id) {
    records.set(`${plural}/${id}`, await device.record(plural, id))
  },
  async has(plural, id, fields) {
    return has(records.get(`${plural}/${id}`), fields).then(() => {})
  },
  read: (plural, id) => records.get(`${plural}/${id}`).get(),
  send: (action, meta) => device.send(action, meta),
  subscribe: channel => device.subscribe(channel),
  async hears(type) {
    return device.hears(type)
  },
  now: () => Date.now()
}

parentPort.on('message', async ({ args, id, method }) => {
  try {
    let value = await methods[method](...args)
    parentPort.postMessage({ id, value })
  } catch (error) {
    parentPort.postMessage({ error: error.stack, id })
  } finally {
    let text = readTrace()
    clearTrace()
    if (text) parentPort.postMessage({ line: `\n${text}` })
  }
})
