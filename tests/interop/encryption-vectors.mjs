// What `encryptActions` of the official client makes of actions. Its output is
// crates/logux-client/tests/encryption_vectors.json.

import { Client, encryptActions } from '@logux/client'
import { MemoryStore } from '@logux/core'

// The client wants to know how it would connect.
globalThis.WebSocket = class {}

const KEY = Array.from({ length: 32 }, (_, i) => i * 7)

const ACTIONS = [
  { type: 'a' },
  { n: 1.5, nested: { list: [1, null, true] }, type: 'notes/change' },
  { text: 'Zażółć gęślą jaźń 🦀', type: 'say' },
  { text: '\ud83d', type: 'say' },
  { text: 'long '.repeat(40), type: 'say' },
  { text: Array.from({ length: 500 }, (_, i) => i).join(), type: 'say' },
  { action: { type: 'say' }, id: '1 10:a:b 0', reason: 'error', type: 'logux/undo' }
]

function encrypting(secret) {
  let client = new Client({
    server: 'wss://example.com',
    store: new MemoryStore(),
    subprotocol: 0,
    token: '',
    userId: '10'
  })
  encryptActions(client, secret)
  return client
}

let vectors = []

async function add(secret, given) {
  let { log, node } = encrypting(given)
  for (let action of ACTIONS) {
    let meta = { id: log.generateId(), sync: true, time: 1 }
    let [encrypted] = await node.options.onSend(action, meta)
    vectors.push({ ...secret, encrypted, json: JSON.stringify(action) })
  }
}

await add({ secret: 'of us all' }, 'of us all')
await add({ secret: 'Пароль 🔑' }, 'Пароль 🔑')
let key = await crypto.subtle.importKey(
  'raw',
  new Uint8Array(KEY),
  { name: 'AES-GCM' },
  false,
  ['encrypt', 'decrypt']
)
await add({ key: KEY }, key)

let lines = vectors.map(vector => JSON.stringify(vector))
process.stdout.write(`[\n${lines.join(',\n')}\n]\n`)
process.exit()
