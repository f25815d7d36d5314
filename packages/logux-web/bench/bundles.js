// The scripts and modules of the pages: each script is one page with the adapter of one library.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const HERE = import.meta.dirname

/** The folder of an installed package. */
let installed = name => join(HERE, 'node_modules', name)

/** The WebAssembly modules, by the name under which pages fetch them. */
export const MODULES = {
  'automerge.wasm': join(installed('@automerge/automerge'), 'dist/automerge.wasm'),
  'logux.wasm': fileURLToPath(new URL('../dist/logux.wasm', import.meta.url)),
  'loro_wasm_bg.wasm': join(installed('loro-crdt'), 'web/loro_wasm_bg.wasm')
}

/** Names of packages in other files: the entries whose WebAssembly is a file of its own. */
const ALIASES = {
  '@automerge/automerge': '@automerge/automerge/slim',
  'loro-crdt': 'loro-crdt/web',
  'logux-web': fileURLToPath(new URL('../src/index.js', import.meta.url)),
  'logux-web/codemirror': fileURLToPath(new URL('../src/codemirror.js', import.meta.url))
}

/** Packages of which there must be one, also for files outside of this folder. */
const SHARED = /^@codemirror\/(state|view)$/

let shared = {
  name: 'shared',
  setup(build) {
    build.onResolve({ filter: SHARED }, ({ path }) => {
      return { path: join(installed(path), 'dist/index.js') }
    })
  }
}

/**
 * Returns a script that runs in a page, with all that it imports. `adapter` is a file of
 * `adapters/`, `external` are packages that it does not contain.
 */
export async function bundle(contents, { adapter, external = [] } = {}) {
  let { outputFiles } = await build({
    alias: adapter ? { ...ALIASES, adapter: join(HERE, 'adapters', adapter) } : ALIASES,
    bundle: true,
    // What runs in Node.js only.
    external: ['node:fs/promises', ...external],
    define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis' },
    format: 'esm',
    legalComments: 'none',
    logLevel: 'error',
    minify: true,
    plugins: external.length > 0 ? [] : [shared],
    stdin: { contents, resolveDir: HERE },
    write: false
  })
  return outputFiles[0].text
}

/** Returns the bundle of a page in `pages/`, for a library. */
export let pageScript = (page, adapter) => bundle(`import './pages/${page}.js'`, { adapter })

/** Returns the WebAssembly modules by name. */
export async function readModules() {
  let names = Object.keys(MODULES)
  let contents = await Promise.all(names.map(name => readFile(MODULES[name])))
  return Object.fromEntries(names.map((name, index) => [name, contents[index]]))
}

/** The version of an installed package. */
export async function version(name) {
  return JSON.parse(await readFile(join(installed(name), 'package.json'), 'utf8')).version
}
