// Which of two actions is older, by the official package. Each line of the input is `[{"id","time"},{"id","time"}]`; each line of
// the output is `<` when the first is older, `>` when the second is, `=` when neither.

import { isFirstOlder } from '@logux/core'
import { createInterface } from 'node:readline'

let answers = []
for await (let line of createInterface({ input: process.stdin })) {
  let [first, second] = JSON.parse(line)
  if (isFirstOlder(first, second)) {
    answers.push('<')
  } else {
    answers.push(isFirstOlder(second, first) ? '>' : '=')
  }
}
process.stdout.write(answers.map(answer => answer + '\n').join(''))
