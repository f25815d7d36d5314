// Starting and ending a reference server so that tests need no luck.

import { createServer } from 'node:http'

// The official server opens its port before it listens to connections: who
// comes in between is accepted and never answered. With an HTTP server of ours
// the port opens last.
export function lateServer() {
  return createServer()
}

// It also says that it listens when the port is not open yet; `open` says it.
export const logger = {
  stream: {
    write(line) {
      if (!line.includes('is listening')) process.stderr.write(line)
    }
  },
  type: 'json'
}

export async function open(server, http, port) {
  process.on('SIGTERM', async () => {
    await server.destroy()
    process.exit(0)
  })
  await server.listen()
  await new Promise((resolve, reject) => {
    http.once('error', reject)
    http.listen(port, '127.0.0.1', resolve)
  })
  process.stdout.write(`listening on ws://127.0.0.1:${port}\n`)
}
