// A Rust client: the example `encrypted_document` of `logux-client`, a process
// that is ended by its own id.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

import { exampleFile } from './server.js'
import { Inbox, within } from './wait.js'

export class RustDevice {
  errors = new Inbox()
  /** The states of the document, as JSON values. */
  states = new Inbox()

  constructor(server, userId, secret) {
    let file = exampleFile('encrypted_document')
    this.#child = spawn(file, [server.url, userId, secret])
    this.#exit = new Promise(exited => this.#child.once('close', exited))
    this.#child.once('error', error => this.errors.push(error.message))
    createInterface(this.#child.stdout).on('line', line => {
      this.states.push(JSON.parse(line))
    })
    createInterface(this.#child.stderr).on('line', line => {
      this.errors.push(line)
    })
  }
  #child
  #exit

  set(field, value) {
    this.#child.stdin.write(`${field}=${value}\n`)
  }

  /** Waits until the document has a value in a field. */
  shows(field, value) {
    return this.states.next(
      state => state[field] === value,
      `${field}=${value}; errors: ${this.errors.all.join('\n')}`
    )
  }

  async destroy() {
    this.#child.kill('SIGKILL')
    await within(this.#exit, 'the Rust device to end')
  }
}
