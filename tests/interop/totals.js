// The reporter `spec`, then the totals as the last line.

import { Readable } from 'node:stream'
import { spec } from 'node:test/reporters'

export default async function* totals(source) {
  let count = { failed: 0, passed: 0, skipped: 0 }
  async function* counted() {
    for await (let event of source) {
      let { data, type } = event
      if (type === 'test:fail') count.failed += 1
      if (type === 'test:pass') count[data.skip ? 'skipped' : 'passed'] += 1
      yield event
    }
  }
  yield* Readable.from(counted()).pipe(new spec())
  let target = process.env.LOGUX_TARGET ?? 'rust'
  let sum = count.failed + count.passed + count.skipped
  yield `\ninterop with ${target}: ${sum} tests, ${count.passed} passed, ` +
    `${count.failed} failed, ${count.skipped} skipped\n`
}
