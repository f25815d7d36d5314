// The server under test: a process, started and stopped by its own id.
//
//     LOGUX_TARGET=rust  the programs that cargo built (the default)
//     LOGUX_TARGET=js    the official server in `reference/`

import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { within } from './wait.js'

const HERE = import.meta.dirname
const REPOSITORY = resolve(HERE, '../../..')

export const TARGET = process.env.LOGUX_TARGET ?? 'rust'

function built(...path) {
  let target = process.env.CARGO_TARGET_DIR ?? join(REPOSITORY, 'target')
  return join(target, 'debug', ...path)
}

/** The program of an example. */
export function exampleFile(name) {
  return join(process.env.LOGUX_EXAMPLES ?? built('examples'), name)
}

const PROGRAMS = {
  js: {
    counter: () => [process.execPath, join(HERE, '../reference/server.js')],
    posts: () => [process.execPath, join(HERE, '../reference/posts.js')],
    serve: () => [process.execPath, join(HERE, '../reference/serve.js')]
  },
  rust: {
    counter: () => [exampleFile('counter')],
    posts: () => [exampleFile('posts')],
    journal: () => [exampleFile('journal')],
    documents: () => [exampleFile('documents')],
    serve: () => [process.env.LOGUX_BIN ?? built('logux'), 'serve']
  }
}

/** The program `logux`, for its commands that are clients. */
export const LOGUX = process.env.LOGUX_BIN ?? built('logux')

if (!PROGRAMS[TARGET]) {
  throw new Error(`LOGUX_TARGET is ${TARGET}, must be rust or js`)
}

/**
 * A free port below those that the system gives to outgoing connections, so
 * that nobody takes it while a server restarts.
 */
export async function freePort() {
  for (;;) {
    let port = 20000 + Math.floor(Math.random() * 12000)
    let free = await new Promise(done => {
      let probe = createServer()
      probe.once('error', () => done(false))
      probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)))
    })
    if (free) return port
  }
}

/** An environment without the LOGUX_* of whoever runs the tests. */
function cleanEnv(extra) {
  let env = {}
  for (let name in process.env) {
    if (!name.startsWith('LOGUX_') && !name.startsWith('NODE_')) {
      env[name] = process.env[name]
    }
  }
  return { ...env, ...extra }
}

export class ServerProcess {
  output = ''
  #child
  #exit

  constructor({ args, cwd, env, port, program }) {
    this.command = [...PROGRAMS[TARGET][program](), ...args]
    this.cwd = cwd
    this.env = env
    this.port = port
    this.url = `ws://127.0.0.1:${port}/`
    this.http = `http://127.0.0.1:${port}`
  }

  async start() {
    let [file, ...args] = this.command
    this.output += `$ ${this.command.join(' ')}\n`
    let child = spawn(file, args, {
      cwd: this.cwd,
      env: cleanEnv(this.env),
      stdio: ['ignore', 'pipe', 'pipe']
    })
    this.#child = child
    let seen = ''
    let ready = new Promise((done, fail) => {
      let read = data => {
        this.output += data
        seen += data
        if (/listening/i.test(seen)) done()
      }
      child.stdout.on('data', read)
      child.stderr.on('data', read)
      this.#exit = new Promise(exited => {
        child.once('error', error => {
          this.output += `${error.message}\n`
          fail(new Error(`Could not start ${file}: ${error.message}`))
          exited({ code: null, signal: null })
        })
        child.once('exit', (code, signal) => {
          this.output += `(exit: ${signal ?? code})\n`
          fail(new Error(`${file} ended before it was listening`))
          exited({ code, signal })
        })
      })
    })
    await within(ready, `a line with “listening” of ${file}`)
    return this
  }

  /** Ends the process and says how it ended. */
  async stop(signal = 'SIGINT') {
    let child = this.#child
    if (!child) return undefined
    this.#child = undefined
    if (child.exitCode === null && child.signalCode === null) {
      this.output += `(${signal})\n`
      child.kill(signal)
    }
    try {
      return await within(this.#exit, `the server to end on ${signal}`)
    } catch (error) {
      child.kill('SIGKILL')
      throw error
    }
  }

  /** The same port, the same data. */
  async restart(signal) {
    let end = await this.stop(signal)
    await this.start()
    return end
  }

  destroy() {
    return this.stop('SIGKILL')
  }
}

/** One of the examples of `README.md`: `counter` or `posts`. */
export async function example(program) {
  let port = await freePort()
  return new ServerProcess({
    args: [],
    env: { LOGUX_PORT: String(port), PORT: String(port) },
    port,
    program
  })
}

/** An example with a folder of its own for the data. */
export async function durableExample(program, env = {}) {
  let port = await freePort()
  let cwd = await mkdtemp(join(tmpdir(), 'logux-interop-'))
  let server = new ServerProcess({
    args: [],
    cwd,
    env: {
      ...env,
      LOGUX_DB: join(cwd, 'log.db'),
      LOGUX_PORT: String(port)
    },
    port,
    program
  })
  return removing(server, cwd)
}

/** A server that removes its folder when it is destroyed. */
function removing(server, cwd) {
  let destroy = server.destroy.bind(server)
  server.destroy = async () => {
    await destroy()
    await rm(cwd, { force: true, recursive: true })
  }
  return server
}

/** `logux serve` with a folder of its own for the data. */
export async function serve({
  args = ['--dev'],
  collections = ['tasks', 'notes'],
  documents = [],
  env = {}
} = {}) {
  let port = await freePort()
  let cwd = await mkdtemp(join(tmpdir(), 'logux-interop-'))
  let server = new ServerProcess({
    args: [
      ...args,
      ...['--host', '127.0.0.1', '--port', String(port)],
      ...['--db', join(cwd, 'logux.db')],
      ...collections.flatMap(name => ['--collection', name]),
      ...documents.flatMap(name => ['--document', name])
    ],
    cwd,
    env,
    port,
    program: 'serve'
  })
  return removing(server, cwd)
}
