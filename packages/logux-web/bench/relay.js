// Sends each message to all others that are connected to the same path. The port is the argument.

import { WebSocketServer } from 'ws'

let rooms = new Map()
let port = Number(process.argv[2])
let server = new WebSocketServer({ host: '127.0.0.1', port }, () => console.log('listening'))
server.on('connection', (socket, { url }) => {
  let room = rooms.get(url) ?? new Set()
  rooms.set(url, room.add(socket))
  socket.on('message', message => {
    for (let other of room) if (other !== socket) other.send(message)
  })
  socket.on('close', () => room.delete(socket))
})
