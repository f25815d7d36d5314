// One test: what it starts is ended with it, and when it fails the report has
// the frames of all sockets and the output of the server.

import { test } from 'node:test'

import { Backend } from './backend.js'
import { Device } from './device.js'
import { RawClient } from './raw.js'
import { RustDevice } from './rust-device.js'
import { durableExample, example, serve, TARGET } from './server.js'
import { SkewedDevice } from './skewed.js'
import { clearTrace, readTrace } from './trace.js'
import { Wire } from './wire.js'

class Scenario {
  servers = []
  #ends = []

  async #own(promise) {
    let thing = await promise
    this.#ends.push(() => thing.destroy())
    return thing
  }

  async #started(promise) {
    let server = await this.#own(promise)
    this.servers.push(server)
    return server.start()
  }

  /** A running counter server. */
  counter() {
    return this.#started(example('counter'))
  }

  /** A running server of posts. */
  posts() {
    return this.#started(example('posts'))
  }

  /** A running server of a journal in a file. */
  journal() {
    return this.#started(durableExample('journal'))
  }

  /** A running server of documents in a file, of which the last edits are open. */
  documents(open) {
    return this.#started(
      durableExample('documents', { LOGUX_OPEN: String(open) })
    )
  }

  /** A running `logux serve`. */
  serve(options) {
    return this.#started(serve(options))
  }

  /** An application of `examples/backends`, not started yet. */
  async backend(kind) {
    let backend = await this.#own(Backend.create(kind))
    this.servers.push(backend)
    return backend
  }

  /** An official client, connected and synchronized. */
  async device(server, userId, options) {
    let device = await this.#own(new Device(server, userId, options))
    return device.start()
  }

  /** An official client that only exists yet. */
  newDevice(server, userId, options) {
    return this.#own(new Device(server, userId, options))
  }

  /** An official client whose clock is wrong, connected. */
  async skewed(server, userId, shift) {
    let device = await this.#own(new SkewedDevice(server, userId, shift))
    await device.call('start')
    return device
  }

  /** A Rust client with an encrypted document. */
  rustDevice(server, userId, secret) {
    return this.#own(new RustDevice(server, userId, secret))
  }

  /** A Rust client that edits a document by operations. */
  rustDocument(server, userId, kind, id) {
    return this.#own(new RustDevice(server, userId, null, [kind, id]))
  }

  /** A socket that speaks the protocol by hand, with an open connection. */
  async raw(server) {
    let raw = await this.#own(new RawClient(server.url))
    return raw.open()
  }

  /** A proxy that can lose frames and cut the connection. */
  async wire(server) {
    let wire = await this.#own(new Wire(server.url))
    return wire.listen()
  }

  async end() {
    for (let end of this.#ends.reverse()) await end()
  }
}

function explain(error, scenario) {
  let report = ['', '--- frames ---', readTrace()]
  for (let server of scenario.servers) {
    report.push('--- server ---', server.output.slice(-4000))
  }
  error.message += report.join('\n')
  return error
}

/**
 * `rustOnly` is why the official server does not pass: the test is skipped
 * for it.
 */
export function scenario(name, options, body) {
  if (!body) [options, body] = [{}, options]
  let skip = TARGET === 'js' && options.rustOnly
  test(name, { skip, timeout: 60_000 }, async () => {
    clearTrace()
    let scenario = new Scenario()
    try {
      await body(scenario)
    } catch (error) {
      throw explain(error, scenario)
    } finally {
      await scenario.end()
    }
  })
}
