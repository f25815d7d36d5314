// The package in Node.js and Deno. Prints what a document shows.

import { open } from 'logux-web'

import { edit } from './edit.js'

let [server, userId, value] = process.argv.slice(2)
// Node.js has one since version 22.
let { WebSocket = (await import('ws')).WebSocket } = globalThis
console.log(await edit(open, { server, userId, value, WebSocket }))
