// The WebAssembly module: strings in, strings out.

let encoder = new TextEncoder()
let decoder = new TextDecoder()

/** Loads the module once for a page. */
let loading

/**
 * Returns the functions of the module.
 *
 * @param {BufferSource | Response | Promise<Response> | WebAssembly.Module} [source] the module;
 *   default: the file beside this one
 */
export function loadEngine(source) {
  loading ??= instantiate(source).then(instance => new Engine(instance.exports))
  return loading
}

async function instantiate(source) {
  if (source instanceof WebAssembly.Module) return WebAssembly.instantiate(source, {})
  if (!source) {
    let url = new URL('../dist/logux.wasm', import.meta.url)
    if (url.protocol === 'file:') {
      let { readFile } = await import('node:fs/promises')
      source = await readFile(url)
    } else {
      source = fetch(url)
    }
  }
  source = await source
  if (source instanceof Response) {
    // Servers that do not know the media type of modules prevent streaming.
    source = await source.arrayBuffer()
  }
  return (await WebAssembly.instantiate(source, {})).instance
}

class Engine {
  constructor(exports) {
    this.exports = exports
  }

  /** Starts a client. Returns its number. */
  start(config) {
    let { client, error } = this.#take(this.exports.logux_start(...this.#give(config)))
    if (error) throw new Error(error)
    return client
  }

  /** Calls a client, and returns what is to be done. */
  call(client, call) {
    let string = this.#give(call)
    return this.#take(
      this.exports.logux_call(client, Date.now(), performance.now(), ...string)
    )
  }

  end(client) {
    this.exports.logux_end(client)
  }

  #give(value) {
    let bytes = encoder.encode(JSON.stringify(value))
    let address = this.exports.logux_allocate(bytes.length)
    new Uint8Array(this.exports.memory.buffer, address, bytes.length).set(bytes)
    return [address, bytes.length]
  }

  #take(result) {
    let packed = BigInt.asUintN(64, result)
    let [address, length] = [Number(packed >> 32n), Number(packed & 0xffffffffn)]
    let bytes = new Uint8Array(this.exports.memory.buffer, address, length)
    let value = JSON.parse(decoder.decode(bytes))
    this.exports.logux_free(address, length)
    return value
  }
}
