// The table of `benches/servers`, from the reports of `logux bench`: medians, with the distance between the slowest and the fastest.
//
//     node table.js REPORTS
//
// Where runs were made both with the machine's cores near each other and far from each other, each of the two has its row.

import { readFileSync } from 'node:fs'

/** Nanoseconds for a word from core to core and back; there is nothing between 100 and 250. */
const FAR = 200

const reports = readFileSync(process.argv[2], 'utf8')
  .split('\n')
  .filter(line => line)
  .map(line => JSON.parse(line))

const loads = new Map()
for (const { server, report } of reports) {
  if (report.lost || report.duplicates) console.error(`${server}: ${report.lost} lost, ${report.duplicates} twice`)
  for (const [name, value] of measured(report)) {
    const load = loads.get(name) ?? new Map()
    loads.set(name, load)
    load.set(server, [...(load.get(server) ?? []), value])
  }
}

console.log('| | logux | bare broadcast | JavaScript | logux : bare | logux : JavaScript |')
console.log('| --- | ---: | ---: | ---: | ---: | ---: |')
for (const [name, load] of loads) {
  const [logux, bare, javascript] = ['logux', 'bare', 'javascript'].map(server => summary(load.get(server) ?? []))
  const cells = [name, text(logux), text(bare), text(javascript), ratio(logux, bare), ratio(logux, javascript)]
  console.log(`| ${cells.join(' | ')} |`)
}

function measured(report) {
  if (report.scenario === 'idle') return [['KiB of an idle connection', report.bytesEach / 1024]]
  const { latency, perSecond } = report.runs[0]
  const load = Object.entries(report.load).map(([key, value]) => `${key} ${value}`).join(', ')
  if (report.load.rate) return [[`p99 in ms, ${load}`, latency.p99Us / 1000]]
  const where = report.coresApartNs > FAR ? 'far' : 'near'
  return [[`${report.unit}/s, ${load}, cores ${where}`, perSecond]]
}

function summary(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)]
  return { median, spread: (sorted.at(-1) - sorted[0]) / median, count: sorted.length }
}

function text({ median, spread, count }) {
  if (!count) return '–'
  const number = median < 100 ? median.toFixed(2) : Math.round(median).toLocaleString('en')
  return count > 1 ? `${number} (${Math.round(spread * 100)} %, ${count} runs)` : number
}

function ratio(one, other) {
  return one.count && other.count ? (one.median / other.median).toFixed(2) : '–'
}
