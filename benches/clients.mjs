// The client of this project, and `@logux/client` 0.23 in Node.js with the same work, in one run:
// what is kept offline, what is sent when the connection is back, one action at a time, and
// opening. Prints a table. Each number is the median of some runs, each in a process of its own,
// in turns. Linux only.
//
//     (cd tests/interop && npm ci --legacy-peer-deps)
//     cargo bench -p logux-client --features sqlite --bench client --no-run
//     node benches/clients.mjs BENCH        the program that cargo names
//
// Both clients have the same server, a small one that answers at once. `FOLDER` is where the files
// are, by default the folder for temporary files; on a disk in memory, nothing is durable.
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

let program = process.argv[2]
let port = process.env.PORT || '31990'
let runs = Number(process.env.RUNS || 5)
let url = `ws://127.0.0.1:${port}`
let folder = mkdtempSync(join(process.env.FOLDER || tmpdir(), 'logux-clients-'))
let javascript = fileURLToPath(new URL('peers/client.js', import.meta.url))
let execute = promisify(execFile)
let files = 0

async function run(command, args, env = {}) {
  let options = { env: { ...process.env, ...env }, maxBuffer: 1e8 }
  let { stdout } = await execute(command, args.map(String), options)
  return JSON.parse(stdout.trim().split('\n').pop())
}

let newFile = () => join(folder, `${files++}.db`)
let rust = (...args) => run(program, args)
let normal = (...args) => run(program, args, { DURABILITY: 'normal' })
let node = (...args) => run('node', ['--expose-gc', javascript, ...args])

function median(values) {
  values.sort((a, b) => a - b)
  return values[values.length >> 1]
}

// Runs the measurements of one row in turns, and returns their medians.
async function row(name, unit, key, columns) {
  let values = Object.fromEntries(Object.keys(columns).map(column => [column, []]))
  for (let i = 0; i < runs; i++) {
    for (let column in columns) {
      let result = await columns[column]()
      values[column].push(result[key])
    }
  }
  let medians = Object.fromEntries(Object.entries(values).map(([it, all]) => [it, median(all)]))
  let shown = ['file', 'normal', 'memory', 'javascript'].map(it =>
    medians[it] === undefined ? '' : `${Number(medians[it].toPrecision(3)).toLocaleString('en')} ${unit}`
  )
  let ratio = it =>
    medians.javascript === undefined || medians[it] === undefined
      ? ''
      : (medians.javascript / medians[it]).toPrecision(2)
  let ratios = ['file', 'normal', 'memory'].map(ratio)
  console.log(`| ${[name, ...shown, ...ratios].join(' | ')} |`)
}

let server = spawn(program, ['serve', port], { stdio: ['ignore', 'pipe', 'inherit'] })
await new Promise(resolve => server.stdout.once('data', resolve))
try {
  console.log('| | file | file, normal | memory | JavaScript | file | normal | memory |')
  console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |')
  let one = newFile()
  let thousand = newFile()
  await rust('fill', one, 1)
  await rust('fill', thousand, 1000)
  await row('open one of 1,000 documents with snapshots, 100,000 stored actions', 'ms', 'ms', {
    file: () => rust('open', thousand)
  })
  await row('open a document of 100,000 actions without a snapshot', 'ms', 'ms', {
    file: () => rust('open', one)
  })
  let kept = newFile()
  await rust('memory', 100000, kept)
  await row('start with 100,000 stored unsent actions', 'ms', 'ms', {
    file: () => rust('stored', kept)
  })
  await row('memory of 100,000 stored unsent actions', 'KiB', 'kib', {
    file: () => rust('stored', kept),
    memory: () => rust('memory', 100000),
    javascript: () => node('memory', 100000)
  })
  await row('10,000 unsent actions until all are processed', 'ms', 'ms', {
    file: () => rust('reconnect', 10000, url, newFile()),
    normal: () => normal('reconnect', 10000, url, newFile()),
    memory: () => rust('reconnect', 10000, url),
    javascript: () => node('reconnect', 10000, url)
  })
  await row('one action after the other, until each is processed', 'µs', 'us', {
    file: () => rust('single', 1000, url, newFile()),
    normal: () => normal('single', 2000, url, newFile()),
    memory: () => rust('single', 2000, url),
    javascript: () => node('single', 2000, url)
  })
  await row('one action after the other without a connection', 'µs', 'us', {
    file: () => rust('kept', 1000, newFile()),
    normal: () => normal('kept', 2000, newFile()),
    memory: () => rust('kept', 2000),
    javascript: () => node('kept', 2000)
  })
  await row('an edit with 10 open documents', 'µs', 'us', { memory: () => rust('documents', 10) })
  await row('an edit with 1,000 open documents', 'µs', 'us', {
    memory: () => rust('documents', 1000)
  })
  runs = 1
  await row('processor time of 30 idle seconds with 1,000 documents', 'µs', 'us', {
    memory: () => rust('idle', 30, url),
    javascript: () => node('idle', 30, url)
  })
} finally {
  server.kill()
  rmSync(folder, { force: true, recursive: true })
}
