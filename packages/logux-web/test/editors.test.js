// Editors in Chromium: real keys, composition, and what people see of each other.

import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'

import { bundle, launch, servePage, skip } from './chromium.js'
import { startServer } from './people.js'

const PAGE = `
  import { EditorView } from '@codemirror/view'
  import { open } from './src/index.js'
  import { collaboration } from './src/codemirror.js'
  import { bindInput } from './src/input.js'

  window.start = async (server, userId, id) => {
    window.client = await open({ server, userId, wasm: fetch('/logux.wasm') })
    window.note = client.document('notes', id)
    await note.loading
    let user = { name: userId, color: '#1d4ed8' }
    window.view = new EditorView({
      extensions: collaboration(note.text('body'), { user }),
      parent: document.querySelector('main')
    })
    bindInput(document.querySelector('textarea'), note.text('body'))
  }
  window.texts = () => [
    note.text('body').get(),
    view.state.sliceDoc(),
    document.querySelector('textarea').value
  ]
`

let people, browser, pages
let problems = []

before(async () => {
  if (skip) return
  people = await startServer()
  pages = await servePage('<main></main><textarea></textarea>', await bundle(PAGE))
  browser = await launch()
})

after(async () => {
  await browser?.close()
  pages?.close()
  await people?.end()
})

afterEach(() => assert.deepEqual(problems.splice(0), [], 'errors of the pages'))

async function person(userId, id) {
  let page = await browser.newPage()
  page.on('pageerror', error => problems.push(`${userId}: ${error.stack}`))
  await page.goto(pages.url)
  await page.evaluate(values => window.start(...values), [people.server.url, userId, id])
  let [editor, area] = [page.locator('.cm-content'), page.locator('textarea')]
  return { area, editor, page, press: keys => page.keyboard.press(keys) }
}

/** Waits until a text, the editor and the element are what they should be in all pages. */
async function shows(text, ...people) {
  for (let { page } of people) {
    let areEqual = text => window.texts().every(it => it === text)
    await page.waitForFunction(areEqual, text, { timeout: 8000 }).catch(async () => {
      assert.deepEqual(await page.evaluate(() => window.texts()), [text, text, text])
    })
  }
}

test('two people type, and see the cursor and the selection of each other', { skip }, async () => {
  let [ada, bob] = [await person('ada', '1'), await person('bob', '1')]
  await ada.editor.pressSequentially('Hello\nworld')
  await shows('Hello\nworld', ada, bob)
  await bob.area.focus()
  await bob.press('Control+Home')
  await bob.page.keyboard.type('>> ')
  await shows('>> Hello\nworld', ada, bob)

  let caret = bob.page.locator('.cm-logux-caret')
  await caret.waitFor()
  assert.equal(await caret.innerText(), 'ada')
  let placeOf = async () => {
    let [caret, end] = await bob.page.evaluate(() => {
      let end = view.coordsAtPos(view.state.doc.length)
      return [document.querySelector('.cm-logux-caret').getBoundingClientRect(), end]
    })
    return [Math.round(caret.left - end.left), Math.round(caret.top - end.top)]
  }
  let [left, top] = await placeOf()
  assert.ok(Math.abs(left) <= 2 && Math.abs(top) <= 4, `at the end of the text: ${left}, ${top}`)
  await ada.press('Shift+Home')
  await bob.page.locator('.cm-logux-selection').waitFor()
  let width = await bob.page.locator('.cm-logux-selection').evaluate(it => it.offsetWidth)
  assert.ok(width > 20, `as wide as the word: ${width}`)
  await ada.page.keyboard.type('all')
  await shows('>> Hello\nall', ada, bob)
  await ada.press('Control+z')
  await shows('>> Hello\nworld', ada, bob)
  let selection = () => ada.page.evaluate(() => view.state.sliceDoc(
    view.state.selection.main.from, view.state.selection.main.to
  ))
  assert.equal(await selection(), 'world')
  await bob.press('Control+z')
  await shows('Hello\nworld', ada, bob)
  await ada.page.close()
  await caret.waitFor({ state: 'detached' })
})

test('a word is composed while others type in its line', { skip }, async () => {
  for (let field of ['editor', 'area']) {
    let [ada, bob] = [await person('ada', field), await person('bob', field)]
    await ada[field].focus()
    await ada.page.keyboard.type('one two')
    await shows('one two', ada, bob)
    let devtools = await ada.page.context().newCDPSession(ada.page)
    let compose = text => {
      let [selectionStart, selectionEnd] = [text.length, text.length]
      return devtools.send('Input.imeSetComposition', { selectionEnd, selectionStart, text })
    }
    await compose('か')
    await bob.editor.focus()
    await bob.press('Control+Home')
    await bob.page.keyboard.type('>> ')
    await bob.press('Control+End')
    await bob.page.keyboard.type('!')
    await ada.page.waitForFunction(() => window.texts()[0] === '>> one twoか!')
    await compose('かん')
    await devtools.send('Input.insertText', { text: '漢' })
    await ada.page.keyboard.type('.')
    await shows('>> one two漢.!', ada, bob)
    await Promise.all([ada, bob].map(({ page }) => page.close()))
  }
})

test('two people type 20 keys in a second', { skip, timeout: 1_200_000 }, async t => {
  let seconds = Number(process.env.LOGUX_TYPING ?? 30)
  let [ada, bob] = [await person('ada', 'long'), await person('bob', 'long')]
  await ada.editor.pressSequentially('\n')
  await shows('\n', ada, bob)
  let words = length => 'the quick brown fox jumps over the lazy dog '.repeat(length / 44 + 1)
  let text = words(seconds * 20).slice(0, seconds * 20)
  await ada.press('Control+Home')
  await bob.editor.focus()
  await bob.press('Control+End')
  for (let { page } of [ada, bob]) {
    await page.evaluate(() => {
      window.durations = []
      new PerformanceObserver(list => {
        for (let { duration, name } of list.getEntries()) {
          if (name === 'keydown') window.durations.push(duration)
        }
      }).observe({ durationThreshold: 16, type: 'event' })
    })
  }
  let began = Date.now()
  let type = async ({ page }) => {
    for (let key of text) {
      let pressed = Date.now()
      await page.keyboard.type(key)
      await new Promise(resolve => setTimeout(resolve, 50 - (Date.now() - pressed)))
    }
  }
  await Promise.all([ada, bob].map(type))
  let rate = Math.round((text.length * 1000) / (Date.now() - began))
  await shows(`${text}\n${text}`, ada, bob)
  let slow = await Promise.all(
    [ada, bob].map(({ page }) => page.evaluate(() => window.durations.length))
  )
  t.diagnostic(`${text.length} keys each, ${rate} in a second; over 16 ms until shown: ${slow}`)
})
