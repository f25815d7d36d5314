// What TypeScript infers for tests of reducers. `run` checks it.

import { assertLaws, assertSurvives } from 'logux-web/testing'

interface Task {
  id: string
  done: boolean
}

type Action = { type: 'add'; id: string } | { type: 'finish'; id: string }

function tasks(state: Task[] = [], action: Action): Task[] {
  return action.type === 'add' ? [...state, { id: action.id, done: false }] : state
}

export let laws = assertLaws(tasks, {
  actions: (state, pick) =>
    state.length > 0 && pick([true, false])
      ? { type: 'finish', id: pick(state).id }
      : { type: 'add', id: pick(['a', 'b']) },
  always: { 'Tasks have ids.': state => state.every(task => task.id) },
  ends: { 'The first action adds.': (_, actions) => actions[0]?.type !== 'finish' }
})

export let cuts = assertSurvives(tasks, { actions: [{ type: 'add', id: 'a' }] }).then(
  report => report.cuts.toFixed()
)

// @ts-expect-error There is no such action.
assertLaws(tasks, { actions: [{ type: 'remove', id: 'a' }] })
