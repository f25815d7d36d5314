// The sizes of what a page loads: scripts that esbuild has bundled and minified, and modules.

import { brotliCompressSync, gzipSync } from 'node:zlib'

import { bundle, readModules } from './bundles.js'
import { printTable } from './statistics.js'

/** The editor, and the library of a page, which a binding does not contain. */
const PEERS = [
  ...['@automerge/automerge', '@codemirror/*', 'loro-crdt'],
  ...['react', 'react/*', 'y-protocols', 'yjs']
]

/** What is measured: a script, or the name of a WebAssembly module. */
const SUBJECTS = {
  'logux-web: script': { script: `export { open } from '../src/index.js'` },
  'logux-web: logux.wasm': { module: 'logux.wasm' },
  'yjs, y-websocket, y-indexeddb': {
    script: `export * from 'yjs'; export * from 'y-websocket'; export * from 'y-indexeddb'`
  },
  'yjs alone': { script: `export * from 'yjs'` },
  'loro-crdt: script': { script: `export * from 'loro-crdt'; export { default } from 'loro-crdt'` },
  'loro-crdt: module': { module: 'loro_wasm_bg.wasm' },
  '@automerge/automerge: script': { script: `export * from '@automerge/automerge'` },
  '@automerge/automerge: module': { module: 'automerge.wasm' },
  '@logux/client, nanostores': {
    script: `
      export { CrossTabClient, createFilter, IndexedStore, syncMapTemplate } from '@logux/client'
      export { map } from 'nanostores'`
  },
  'logux-web/codemirror': { external: PEERS, script: `export * from '../src/codemirror.js'` },
  'y-codemirror.next': { external: PEERS, script: `export * from 'y-codemirror.next'` },
  'loro-codemirror': { external: PEERS, script: `export * from 'loro-codemirror'` },
  '@automerge/automerge-codemirror': {
    external: PEERS,
    script: `export * from '@automerge/automerge-codemirror'`
  },
  'logux-web/input': { script: `export * from '../src/input.js'` },
  'logux-web/react': { external: PEERS, script: `export * from '../src/react.js'` },
  'logux-web/devtools': { script: `export * from '../src/devtools/index.js'` },
  'logux-web/replay: script': { script: `export * from '../src/replay.js'` },
  'logux-web/testing: script': { script: `export * from '../src/testing.js'` }
}

export async function measureSizes() {
  let modules = await readModules()
  let rows = []
  for (let [name, { external, module, script }] of Object.entries(SUBJECTS)) {
    let content = modules[module] ?? Buffer.from(await bundle(script, { external }))
    let sizes = [content, gzipSync(content, { level: 9 }), brotliCompressSync(content)]
    rows.push([name, ...sizes.map(({ length }) => (length / 1024).toFixed(1))])
  }
  printTable([['KiB', 'raw', 'gzip', 'brotli'], ...rows])
}
