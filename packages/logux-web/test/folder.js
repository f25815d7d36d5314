// A server of the files in a folder.

import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join } from 'node:path'

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }

/**
 * Serves the files in a folder until `close`. `answer` may return `[status, type, content]` for a
 * path, in place of its file.
 */
export async function serveFolder(folder, answer = () => {}) {
  let served = []
  let server = createServer(async (request, response) => {
    let { pathname } = new URL(request.url, 'http://localhost')
    served.push(pathname)
    let file = pathname === '/' ? '/index.html' : pathname
    let [status, type, content] = answer(pathname) || (await read(folder, file))
    response.writeHead(status, { 'Content-Type': type })
    response.end(content)
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  let url = `http://127.0.0.1:${server.address().port}/`
  return { close: () => server.close(), served, url }
}

async function read(folder, path) {
  try {
    let content = await readFile(join(folder, path))
    return [200, TYPES[extname(path)] ?? 'text/plain', content]
  } catch {
    return [404, 'text/plain', 'There is no such file.']
  }
}
