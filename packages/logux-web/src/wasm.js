// Loads WebAssembly modules, and passes strings to them and back.

let encoder = new TextEncoder()
let decoder = new TextDecoder()

/** The first bytes of all modules. */
let MAGIC = [0x00, 0x61, 0x73, 0x6d]

/**
 * Returns a compiled module.
 *
 * @param {BufferSource | Response | Promise<Response> | WebAssembly.Module | undefined} source the
 *   module; `undefined`: the file at the address
 * @param {URL} url its address
 */
export async function compile(source, url) {
  if (source instanceof WebAssembly.Module) return source
  source = await (source ?? (url.protocol === 'file:' ? readFile(url) : fetch(url)))
  return source instanceof Response ? compileResponse(source) : WebAssembly.compile(source)
}

/** Returns an asynchronous function that is called once, and again after an error. */
export function once(load) {
  let loading
  return source => {
    loading ??= load(source).catch(error => {
      loading = undefined
      throw error
    })
    return loading
  }
}

async function readFile(url) {
  // As a text in `import`, bundlers for pages would look for a module that they do not have.
  let name = 'node:fs/promises'
  let files = await import(/* webpackIgnore: true */ /* @vite-ignore */ name)
  return files.readFile(url)
}

async function compileResponse(response) {
  let { ok, status, url } = response
  if (!ok) throw notFound(url, `the status ${status}`)
  let type = response.headers.get('Content-Type') ?? 'no media type'
  // Only with this media type, a module is compiled while it arrives.
  if (type.toLowerCase() === 'application/wasm') return WebAssembly.compileStreaming(response)
  let bytes = await response.arrayBuffer()
  let start = new Uint8Array(bytes).subarray(0, MAGIC.length)
  if (MAGIC.some((byte, index) => start[index] !== byte)) throw notFound(url, type)
  return WebAssembly.compile(bytes)
}

function notFound(url, found) {
  return new Error(
    `expected a WebAssembly module at ${url || 'the response'}, got ${found}: ` +
      'see "Bundlers and runtimes" in the README of logux-web'
  )
}

/** The memory of an instance, for strings. */
export class Memory {
  constructor(exports) {
    this.exports = exports
  }

  /** Gives a string to the module. Returns its address and its length. */
  give(text) {
    let bytes = encoder.encode(text)
    let address = this.exports.logux_allocate(bytes.length)
    new Uint8Array(this.exports.memory.buffer, address, bytes.length).set(bytes)
    return [address, bytes.length]
  }

  /** Gives a string to the module, as the result of a function. */
  giveResult(text) {
    let [address, length] = this.give(text)
    return (BigInt(address) << 32n) | BigInt(length)
  }

  /** Returns a string that stays in the memory. */
  read(address, length) {
    return decoder.decode(new Uint8Array(this.exports.memory.buffer, address, length))
  }

  /** Returns the result of a function, and frees its memory. */
  takeResult(result) {
    let packed = BigInt.asUintN(64, result)
    let [address, length] = [Number(packed >> 32n), Number(packed & 0xffffffffn)]
    let text = this.read(address, length)
    this.exports.logux_free(address, length)
    return text
  }
}
