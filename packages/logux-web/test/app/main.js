// What the tests call in a page.

import { edit } from './edit.js'

let type = 'module'
let plain = '/plain-worker.js'
let workers = {
  bundled: () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module' }),
  dedicated: () => new Worker(plain, { type }),
  service: async () => {
    await navigator.serviceWorker.register(plain, { type })
    return (await navigator.serviceWorker.ready).active
  },
  shared: () => new SharedWorker(plain, { type }).port
}

window.load = () => import('logux-web')

window.edit = async options => {
  let { open } = await window.load()
  return edit(open, options)
}

window.editInWorker = async (kind, options) => {
  let worker = await workers[kind]()
  return new Promise((resolve, reject) => {
    worker.onerror = event => reject(new Error(event.message ?? 'the worker does not load'))
    let { port1, port2 } = new MessageChannel()
    port1.onmessage = ({ data }) => (data.error ? reject(data.error) : resolve(data.shown))
    worker.postMessage(options, [port2])
  })
}

window.isReady = true
