// The applications of `examples/backends`, each a process with a counter in a
// file of its own.

import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { freePort } from './server.js'
import { within } from './wait.js'

const HERE = import.meta.dirname
const EXAMPLES = resolve(HERE, '../../../examples/backends')

export const SECRET = 'the secret of both, as long as in production'

const COMMANDS = {
  django: port => [
    join(HERE, '../.venv/bin/python'),
    join(EXAMPLES, 'django/server.py'),
    String(port)
  ],
  php: port => ['php', '-S', `127.0.0.1:${port}`, join(EXAMPLES, 'php/server.php')],
  ruby: port => ['ruby', join(EXAMPLES, 'ruby/server.rb'), String(port)]
}

export const BACKENDS = Object.keys(COMMANDS)

function isListening(port) {
  return new Promise(done => {
    let socket = connect(port, '127.0.0.1')
    socket.once('connect', () => done(true) || socket.destroy())
    socket.once('error', () => done(false))
  })
}

export class Backend {
  output = ''
  #child
  #exit

  static async create(kind) {
    let backend = new Backend()
    backend.kind = kind
    backend.port = await freePort()
    backend.cwd = await mkdtemp(join(tmpdir(), 'logux-backend-'))
    backend.url = `http://127.0.0.1:${backend.port}/logux`
    return backend
  }

  /** Starts it; `logux` is the URL to which it sends its own actions. */
  async start(logux = this.logux) {
    this.logux = logux
    let [file, ...args] = COMMANDS[this.kind](this.port)
    let child = spawn(file, args, {
      cwd: this.cwd,
      env: {
        ...process.env,
        COUNTER_FILE: join(this.cwd, 'counter.txt'),
        LOGUX_CONTROL_SECRET: SECRET,
        LOGUX_URL: logux,
        PHP_CLI_SERVER_WORKERS: '4',
        PYTHONUNBUFFERED: '1'
      },
      // A group of its own, so that workers end with it.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe']
    })
    this.#child = child
    child.stdout.on('data', data => (this.output += data))
    child.stderr.on('data', data => (this.output += data))
    let ended = false
    this.#exit = new Promise(exited => {
      child.once('error', error => {
        this.output += error.message
        exited()
      })
      child.once('exit', exited)
    }).then(() => {
      ended = true
    })
    let ready = async () => {
      while (!(await isListening(this.port))) {
        if (ended) throw new Error(`${file} ended at once: ${this.output}`)
        await new Promise(next => setTimeout(next, 20))
      }
    }
    await within(ready(), () => `${file} to listen: ${this.output}`, 20_000)
    return this
  }

  async stop() {
    if (!this.#child) return
    try {
      process.kill(-this.#child.pid, 'SIGKILL')
    } catch (error) {
      if (error.code !== 'ESRCH') throw error
    }
    this.#child = undefined
    await within(this.#exit, () => 'the back end to end')
  }

  async destroy() {
    await this.stop()
    await rm(this.cwd, { force: true, recursive: true })
  }
}
