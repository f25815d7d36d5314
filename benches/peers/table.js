// Puts criterion's estimates and the results of run.js (standard input) side by side, as a Markdown table.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

let theirs = JSON.parse(readFileSync(0, 'utf8'))
let target = process.argv[2]

function ours(group, count) {
  let file = join(target, 'criterion', group, count, 'new', 'estimates.json')
  let { median } = JSON.parse(readFileSync(file, 'utf8'))
  let units = group.startsWith('remove_reason') ? count / 2 : count
  let spread = (median.confidence_interval.upper_bound - median.confidence_interval.lower_bound) / median.point_estimate
  return [median.point_estimate / units, spread]
}

let number = value => Math.round(value).toLocaleString('en')
console.log('| Work | n | Rust, ns each | Rust, each/s | spread | JavaScript, ns each | ratio |')
console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: |')
for (let group of ['add in order', 'add in reverse', 'add at random', 'walk', 'remove_reason of half', 'encode sync', 'decode sync']) {
  let counts = readdirSync(join(target, 'criterion', group)).filter(i => /^\d+$/.test(i))
  for (let count of counts.sort((a, b) => a - b)) {
    let [ns, spread] = ours(group, count)
    let their = theirs[`${group}/${count}`]
    let cells = [group, number(count), ns.toFixed(ns < 20 ? 1 : 0), number(1e9 / ns), `${(spread * 100).toFixed(1)} %`]
    cells.push(their ? number(their) : '', their ? `${(their / ns).toFixed(their / ns < 100 ? 1 : 0)}×` : '')
    console.log(`| ${cells.join(' | ')} |`)
  }
}
