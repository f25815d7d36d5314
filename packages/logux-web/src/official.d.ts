import type { Client } from './index.js'

/** What documents need of a client of `@logux/client`: `Client`, or `CrossTabClient`. */
export interface OfficialClient {
  readonly clientId: string
  readonly log: object
  readonly node: object
  readonly options: object
  readonly state: string
  clean(): Promise<void>
  destroy(): void
}

export interface DocumentsOptions {
  /** The WebAssembly module. Default: `dist/logux.wasm` of this package. */
  wasm?: BufferSource | Response | Promise<Response> | WebAssembly.Module
}

/**
 * Returns the documents and records of an official client: a client of this package that uses the
 * log, the connection and the tabs of the official one. The same until it is closed.
 *
 * It closes with the error of `destroy`, `clean` or `changeUser` of the official client, which
 * `on('error')` hears, calls throw, and promises of answers are rejected with. After `destroy` and
 * `changeUser`, what was edited stays in the log.
 *
 * It is rejected if `encryptActions` of the official client does not ignore `logux/subscribe`.
 */
export function documents(client: OfficialClient, options?: DocumentsOptions): Promise<Client>
