// A Hocuspocus server without a database, on the port of the first argument.
import { Server } from '@hocuspocus/server'

let server = new Server({ port: Number(process.argv[2]), address: '127.0.0.1', quiet: true })
await server.listen()
process.send?.('listening')
