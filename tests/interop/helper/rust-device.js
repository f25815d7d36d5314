// A Rust client: an example of `logux-client`, a process that is ended by its
// own id.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

import { atom } from 'nanostores'

import { shows } from './device.js'
import { exampleFile } from './server.js'
import { Inbox, show, within } from './wait.js'

export class RustDevice {
  errors = new Inbox()
  /** The state of the document that was printed last, as a JSON value. */
  state = atom({})

  constructor(server, userId, secret, [kind, id] = []) {
    let [name, ...args] = kind
      ? ['document', kind, id]
      : ['encrypted_document', secret]
    this.#child = spawn(exampleFile(name), [server.url, userId, ...args])
    this.#exit = new Promise(exited => this.#child.once('close', exited))
    this.#child.once('error', error => this.errors.push(error.message))
    createInterface(this.#child.stdout).on('line', line => {
      this.state.set(JSON.parse(line))
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

  /** Changes a document by an operation on its JSON. */
  operate(op) {
    this.#child.stdin.write(`${JSON.stringify(op)}\n`)
  }

  /** Waits until the document has a value in a field. */
  shows(field, value) {
    return shows(
      this.state,
      state => state[field] === value,
      () => `${show({ [field]: value })}; errors: ${show(this.errors.all)}`
    )
  }

  async destroy() {
    this.#child.kill('SIGKILL')
    await within(this.#exit, 'the Rust device to end')
  }
}
