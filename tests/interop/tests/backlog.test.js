// All that a device did offline arrives in one message: however much it is,
// it is processed after one connect.

import assert from 'node:assert/strict'
import { connect, createServer } from 'node:net'

import { scenario } from '../helper/scenario.js'
import { freePort } from '../helper/server.js'
import { within } from '../helper/wait.js'

const PATIENCE = 60000

/** Actions that were made offline, with the promises of their outcomes. */
function create(device, count, text) {
  return Array.from({ length: count }, (_, i) => {
    let action = { fields: { text: text(i) }, id: `${i}`, type: 'notes/create' }
    return device.client.sync(action).then(
      () => 'processed',
      error => error.action.reason
    )
  })
}

function connects(device) {
  let count = 0
  device.client.node.connection.on('connect', () => {
    count += 1
  })
  return () => count
}

async function outcomes(made) {
  let all = await within(Promise.all(made), 'all outcomes', PATIENCE)
  let counts = {}
  for (let i of all) counts[i] = (counts[i] ?? 0) + 1
  return counts
}

for (let [count, length] of [
  [3000, 400],
  [10001, 10]
]) {
  scenario(`${count} actions of ${length} bytes made offline`, async s => {
    let server = await s.serve()
    let device = await s.newDevice(server, 'alice')
    let connected = connects(device)
    let made = create(device, count, () => 'x'.repeat(length))
    device.client.start()
    assert.deepEqual(await outcomes(made), { processed: count })
    assert.equal(connected(), 1)
    assert.deepEqual(device.errors.all, [])
  })
}

scenario('one action of 9 MB among others', async s => {
  let server = await s.serve()
  let device = await s.newDevice(server, 'alice')
  let connected = connects(device)
  let text = i => 'x'.repeat(i === 3 ? 9_000_000 : 10)
  let made = create(device, 7, text)
  device.client.start()
  assert.deepEqual(await outcomes(made), { processed: 6, tooLarge: 1 })
  assert.equal(await made[3], 'tooLarge')
  assert.equal(connected(), 1)
})

scenario('one action that is nested too deeply', async s => {
  let server = await s.serve()
  let device = await s.newDevice(server, 'alice')
  let deep = 1
  for (let i = 0; i < 600; i++) deep = [deep]
  let made = create(device, 3, i => (i === 1 ? deep : 'text'))
  device.client.start()
  assert.deepEqual(await outcomes(made), { processed: 2, tooDeep: 1 })
})

/** A line to the server that passes `bytes` bytes each 20 ms. */
async function slowLine(server, bytes) {
  let port = await freePort()
  let line = createServer(client => {
    let to = connect(server.port, '127.0.0.1')
    to.pipe(client)
    let chunks = []
    client.on('data', chunk => {
      for (let at = 0; at < chunk.length; at += bytes) {
        chunks.push(chunk.subarray(at, at + bytes))
      }
    })
    let timer = setInterval(() => {
      if (chunks.length > 0) to.write(chunks.shift())
    }, 20)
    for (let end of [client, to]) {
      end.on('error', () => {})
      end.on('close', () => {
        clearInterval(timer)
        client.destroy()
        to.destroy()
      })
    }
  })
  await new Promise(resolve => {
    line.listen(port, '127.0.0.1', resolve)
  })
  return { close: () => line.close(), url: `ws://127.0.0.1:${port}/` }
}

scenario('a line so slow that the client would time out', async s => {
  let server = await s.serve({ args: ['--dev', '--ping-ms', '4000'] })
  // 1.4 MB at 200 kB a second take 7 s, more than the client waits.
  let line = await slowLine(server, 4000)
  try {
    let device = await s.newDevice({ url: line.url }, 'alice', {
      ping: 1000,
      timeout: 4500
    })
    let connected = connects(device)
    let made = create(device, 3000, () => 'x'.repeat(400))
    device.client.start()
    assert.deepEqual(await outcomes(made), { processed: 3000 })
    assert.equal(connected(), 1)
    assert.deepEqual(device.errors.all, [])
  } finally {
    line.close()
  }
})
