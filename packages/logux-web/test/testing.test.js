// Reducers with common mistakes, and the stories about them; correct ones in worlds.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { promisify } from 'node:util'

import { assertLaws, assertSurvives, BrokenLaw } from '../src/testing.js'

/** A list of tasks, and a reducer of Redux whose `finish` is given. */
function tasksWith(finish) {
  return (state = [], action) => {
    switch (action.type) {
      case 'task/add':
        if (state.some(task => task.id === action.id)) return state
        return [...state, { id: action.id, done: false }]
      case 'task/done':
        return finish(state, action)
      case 'task/remove':
        return state.filter(task => task.id !== action.id)
      default:
        return state
    }
  }
}

let tasks = tasksWith((state, { id }) =>
  state.map(task => (task.id === id ? { ...task, done: true } : task))
)

/** People finish and remove tasks that they see. */
function actions(state, pick) {
  let type = pick(['task/add', 'task/done', 'task/remove'])
  let ids = type === 'task/add' ? ['a', 'b', 'c'] : state.map(task => task.id)
  return ids.length > 0 ? { type, id: pick(ids) } : undefined
}

/** Returns the story about a reducer, without the line of the seed. */
async function story(check, reducer, options) {
  try {
    await check(reducer, { actions, seed: 1, ...options })
  } catch (error) {
    if (!(error instanceof BrokenLaw)) throw error
    assert.match(error.message, new RegExp(`\nSeed: ${error.seed}$`))
    if (process.env.LOGUX_SHOW) console.log(`${error.message}\n`)
    return error.message.replace(/\nSeed: \d+$/, '')
  }
  assert.fail('no law is broken')
}

test('a correct reducer fulfils the laws, in less than 10 seconds', async () => {
  let start = performance.now()
  let options = {
    actions,
    always: { 'A task is there twice.': state => new Set(ids(state)).size === state.length },
    ends: { 'A task that nobody added is there.': (state, all) => state.length <= all.length }
  }
  let { seed } = await assertLaws(tasks, options)
  assert.equal(typeof seed, 'number')
  assert.ok(performance.now() - start < 10_000)
})

function ids(state) {
  return state.map(task => task.id)
}

test('a reducer that needs what another user has taken back has a story of two users', async () => {
  let wrong = tasksWith((state, { id }) => {
    let index = ids(state).indexOf(id)
    return state.with(index, { ...state[index], done: true })
  })
  let told = await story(assertLaws, wrong)
  let lines = told.split('\n')
  assert.equal(lines[0], 'The reducer throws an error.')
  assert.match(told, / adds \{"type":"task\/done","id":"a"\} /)
  assert.match(told, /Ada [^]*Grace |Grace [^]*Ada /)
  assert.match(lines.at(-2), / has no state: RangeError: /)
  assert.ok(lines.length <= 12, told)
  let error = await assertLaws(wrong, { actions, seed: 1 }).catch(error => error)
  assert.ok(error.cause instanceof RangeError)
})

test('a reducer that changes its arguments is named', async () => {
  let sorting = (state = [], { n }) => (n === undefined ? state : [...state.sort(), n])
  let told = await story(assertLaws, sorting, { actions: [{ type: 'n', n: 2 }, { type: 'n', n: 1 }] })
  assert.match(told, /^The reducer changes the state or the action that it is given\.\n\n {2}\w+ adds/)
  assert.match(told, /has no state: \[2,1\] has become \[1,2\]\n$/)
  let marking = (state = {}, action) => ({ last: Object.assign(action, { seen: true }).type })
  told = await story(assertLaws, marking, { actions: [{ type: 'a' }] })
  assert.match(told, /has no state: \{"type":"a"\} has become \{"type":"a","seen":true\}\n$/)
})

test('a reducer that depends on the clock or on chance is named', async () => {
  let impure = [
    () => Date.now(),
    () => new Date().toISOString(),
    () => Math.random(),
    () => Math.random() < 0.5,
    () => crypto.randomUUID()
  ]
  for (let part of impure) {
    let { Date: now } = globalThis
    let { random } = Math
    let told = await story(
      assertLaws,
      (state = [], { type }) => (type === 'add' ? [...state, part()] : state),
      { actions: [{ type: 'add' }] }
    )
    assert.match(told, /^The reducer gives two states for one state and one action\.\n\n  Ada adds/)
    assert.match(told, /Ada has no state: one call gives \[.*\], another \[.*\]\n$/)
    assert.equal(globalThis.Date, now)
    assert.equal(Math.random, random)
  }
  let calls = 0
  let counting = (state = 0, { type }) => (type === 'add' ? ++calls : state)
  let told = await story(assertLaws, counting, { actions: [{ type: 'add' }] })
  assert.match(told, /^The reducer gives two states/)
})

test('a state that is not JSON is named, with its place', async () => {
  for (let [value, got] of [
    [new Set(), 'a Set'],
    [new Date(0), 'a Date'],
    [NaN, 'NaN'],
    [[undefined], 'undefined'],
    [() => {}, 'function']
  ]) {
    let told = await story(assertLaws, (state = { at: {} }, { type }) =>
      type === 'task/add' ? { at: { x: value } } : state, { actions: [{ type: 'task/add' }] })
    assert.match(told, /^The reducer gives a state that is not JSON\./)
    assert.match(told, new RegExp(`expected JSON at /at/x.*, got ${got}`))
  }
  let first = await story(assertLaws, () => new Map(), {})
  assert.match(first, /not JSON\.\n\n {2}At the start, there is no state: expected JSON, got a Map/)
  // A field without a value is one that is not there.
  let latest = (state = {}, { type }) => ({ ...state, last: type, error: undefined })
  await assertLaws(latest, { actions: [{ type: 'a' }, { type: 'b' }] })
})

test('laws of the application have stories', async () => {
  let likes = (state = 0, action) => action.to ?? state
  let like = {
    actions: state => ({ type: 'likes', to: state + 1 }),
    ends: { 'A like is lost.': (state, all) => assert.equal(state, all.length) }
  }
  let told = await story(assertLaws, likes, like)
  assert.equal(
    told,
    [
      'A like is lost.',
      '',
      '  Grace adds {"type":"likes","to":1} at 1 ms',
      '  Ada adds {"type":"likes","to":1} at 1 ms',
      '  Ada receives the actions of the others.',
      '  Grace receives the actions of the others.',
      '',
      '  Ada has 1',
      ''
    ].join('\n')
  )
  let error = await assertLaws(likes, { ...like, seed: 1 }).catch(error => error)
  assert.ok(error.cause instanceof assert.AssertionError)
  let order = await story(assertLaws, likes, {
    actions: [{ type: 'likes', to: 1 }, { type: 'likes', to: 2 }],
    commutes: true
  })
  assert.match(order, /^The final state depends on the order in which the actions arrive\./)
  let balance = (state = 0, { type }) => state + { earn: 1, spend: -1 }[type] || state
  let negative = await story(assertLaws, balance, {
    actions: state => ({ type: state > 0 ? 'spend' : 'earn' }),
    always: { 'The balance is negative.': state => state >= 0 }
  })
  assert.match(negative, /^The balance is negative\.\n\n[^]* has -1\n$/)
})

test('replicas are equal after all that happens in a world', async () => {
  let start = performance.now()
  let ends = { 'There are too many tasks.': state => state.length <= 3 }
  let report = await assertSurvives(tasks, { actions, ends, seed: 7 })
  assert.ok(performance.now() - start < 10_000)
  if (process.env.LOGUX_SHOW) console.log(report)
  for (let count of ['actions', 'undone', 'cuts', 'lost', 'crashes', 'ms']) {
    assert.ok(report[count] > 0, count)
  }
  assert.deepEqual(await assertSurvives(tasks, { actions, ends, seed: 7 }), report)
})

test('a seed repeats a story', async () => {
  let likes = (state = 0, action) => action.to ?? state
  let like = {
    actions: state => ({ type: 'likes', to: state + 1 }),
    ends: { 'A like is lost.': (state, all) => state === all.length }
  }
  let [first, again] = [await story(assertLaws, likes, like), await story(assertLaws, likes, like)]
  assert.equal(first, again)
  let error = await assertSurvives(likes, like).catch(error => error)
  assert.match(error.message, /^A like is lost\.\n\n {2}All devices have \d+\n/)
  let one = await assertSurvives(likes, { ...like, seed: error.seed, worlds: 1 }).catch(it => it)
  assert.equal(one.message, error.message)
  assert.equal((error.message.match(/ adds /g) ?? []).length, 2)
})

test('a mistake in a test is an error of its own', async () => {
  await assert.rejects(assertLaws(tasks, { actions: [{ id: 'a' }] }), {
    name: 'TypeError',
    message: 'expected an action with a type, got {"id":"a"}'
  })
  let broken = () => { throw new RangeError('my mistake') }
  await assert.rejects(assertSurvives(tasks, { actions: broken }), /my mistake/)
  // It works again afterwards.
  await assertLaws(tasks, { actions, histories: 5 })
})

test('the example of the README gives what it shows', async () => {
  let readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  let [, code, shown] = readme.match(/```js\n(import[^`]*testing'[^]*?)```\n[^]*?```text\n([^]*?)```/)
  let cwd = new URL('..', import.meta.url)
  let args = ['--input-type=module', '--eval', code]
  // Inside of a test, it would report to this one.
  let env = { ...process.env, NODE_TEST_CONTEXT: undefined }
  let { stdout } = await promisify(execFile)(process.execPath, args, { cwd, env }).catch(it => it)
  let lines = stdout.split('\n').map(line => line.trim())
  for (let line of shown.split('\n')) assert.ok(lines.some(it => it.endsWith(line.trim())), stdout)
})
