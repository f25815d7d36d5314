// Measures the package for web pages beside other libraries, in Chromium. Prints tables.
//
//     node bench/run.js                    everything
//     node bench/run.js opening records    these subjects
//
// BENCH_ROUNDS: how often each measure is repeated (5). BENCH_ONLY: only libraries with this in
// their names. BENCH_PROFILES: a folder for CPU profiles of the pages, which the tools of Chromium
// open.

import { mkdir, writeFile } from 'node:fs/promises'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'

import { readModules, version } from './bundles.js'
import { launch, profile, servePages } from './chromium.js'
import { measureOpening } from './opening.js'
import { measureRecords } from './records.js'
import { measureSizes } from './sizes.js'
import { measureTyping } from './typing.js'

const SUBJECTS = {
  opening: measureOpening,
  records: measureRecords,
  sizes: measureSizes,
  typing: measureTyping
}

/** The packages whose versions are printed. */
const PACKAGES = [
  '@automerge/automerge',
  '@automerge/automerge-codemirror',
  '@logux/client',
  'loro-codemirror',
  'loro-crdt',
  'nanostores',
  'y-codemirror.next',
  'y-indexeddb',
  'y-websocket',
  'yjs'
]

let names = process.argv.slice(2)
let unknown = names.find(name => !SUBJECTS[name])
if (unknown) throw new Error(`no subject ${unknown}: ${Object.keys(SUBJECTS).join(', ')}`)
if (names.length === 0) names = Object.keys(SUBJECTS)
let rounds = Number(process.env.BENCH_ROUNDS ?? 5)
let folder = process.env.BENCH_PROFILES

/** Writes a profile of a page, while something is done in it. */
async function saveProfile(name, page, run) {
  await mkdir(folder, { recursive: true })
  let result = await profile(page, run)
  await writeFile(join(folder, `${name}.cpuprofile`), JSON.stringify(result))
}

// The servers end with this process.
for (let signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

let load = () => loadavg().map(it => it.toFixed(1)).join(', ')
let pages = await servePages(await readModules())
let browser = await launch()
try {
  console.log(`${cpus().length} × ${cpus()[0].model}, Node.js ${process.versions.node},`)
  console.log(`Chromium ${browser.version()}`)
  for (let name of PACKAGES) console.log(`${name} ${await version(name)}`)
  for (let name of names) {
    console.log(`\n${name}: medians of ${rounds} (least–most), with a load of ${load()} before\n`)
    await SUBJECTS[name]({ browser, pages, rounds, saveProfile: folder ? saveProfile : undefined })
    console.log(`load after it: ${load()}`)
  }
} finally {
  await browser.close()
  pages.close()
}
