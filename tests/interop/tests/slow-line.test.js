// A collection that is larger than what the server queues for a client, over a
// line that is slower than the server.

import assert from 'node:assert/strict'
import { connect, createServer } from 'node:net'

import { createFilter } from '@logux/client'

import { scenario } from '../helper/scenario.js'
import { within } from '../helper/wait.js'

const RECORDS = 2000
const OLD = { rustOnly: 'It queues any number of messages in memory.' }

/** A proxy that passes on `bytesPerSecond` of what the server sends. */
async function slowLine(server, bytesPerSecond) {
  let line = { connections: 0, sockets: new Set() }
  let proxy = createServer(client => {
    line.connections += 1
    let upstream = connect(server.port, '127.0.0.1')
    for (let socket of [client, upstream]) {
      line.sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        client.destroy()
        upstream.destroy()
      })
    }
    client.pipe(upstream)
    upstream.on('data', data => {
      client.write(data)
      upstream.pause()
      setTimeout(
        () => upstream.resume(),
        (data.length / bytesPerSecond) * 1000
      )
    })
  })
  await new Promise(done => proxy.listen(0, '127.0.0.1', done))
  line.url = `ws://127.0.0.1:${proxy.address().port}/`
  line.close = () => {
    proxy.close()
    for (let socket of line.sockets) socket.destroy()
  }
  return line
}

scenario('a large collection over a slow line: one connection', OLD, async s => {
  let server = await s.serve({
    args: [
      '--dev',
      '--collection',
      'tasks',
      '--max-outbox-messages',
      '200',
      '--max-outbox-bytes',
      '50000'
    ],
    collections: []
  })
  let author = await s.raw(server)
  await author.connect('author:a:a')
  for (let at = 0; at < RECORDS; at += 100) {
    let batch = []
    for (let n = at; n < at + 100; n++) {
      let fields = { n, text: 'x'.repeat(200) }
      batch.push(
        author.ask({ fields, id: `r${n}`, type: 'tasks/create' })
      )
    }
    await Promise.all(batch)
  }
  let line = await slowLine(server, 1_000_000)
  try {
    let reader = await s.newDevice({ url: line.url }, 'reader')
    let list = createFilter(reader.client, reader.template('tasks'))
    let unbind = list.listen(() => {})
    await reader.start()
    // What others do meanwhile arrives too.
    let change = { fields: { text: 'new' }, id: 'r1999', type: 'tasks/change' }
    await author.ask(change)
    await within(list.loading, `${RECORDS} records`, 40_000)
    assert.equal(list.get().list.length, RECORDS)
    let last = list.get().list.find(record => record.id === 'r1999')
    assert.equal(last.text, 'new')
    assert.equal(line.connections, 1)
    unbind()
  } finally {
    line.close()
  }
})
