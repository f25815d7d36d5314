// The page `/demo` of `logux serve --dev`, from the program itself.

import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'

import { serve } from '../../../tests/interop/helper/server.js'
import { launch, skip } from './chromium.js'

let server, browser
let problems = []

before(async () => {
  if (skip) return
  server = await serve({ collections: [] })
  await server.start()
  let page = await (await fetch(`${server.http}/demo`)).text()
  assert.ok(!/packages.logux-web.build/.test(page), 'the program is built after the page')
  browser = await launch()
})

after(async () => {
  await browser?.close()
  await server?.destroy()
})

afterEach(() => assert.deepEqual(problems.splice(0), [], 'errors of the page'))

/** Opens the page in a browser of its own. */
async function open(options) {
  let context = await browser.newContext(options)
  let page = await context.newPage()
  page.on('pageerror', error => problems.push(error.stack))
  page.on('console', message => {
    // A socket that is closed too early is the switch `Offline`.
    if (message.type() === 'error') problems.push(message.text())
  })
  await page.goto(`${server.http}/demo`)
  await page.locator('body[data-ready]').waitFor()
  let pane = id => {
    let pane = page.locator(`#${id}`)
    return {
      card: title => pane.locator('.lane li', { hasText: title }),
      editor: pane.locator('.cm-content'),
      lane: index => pane.locator('.lane').nth(index).locator('li'),
      offline: pane.getByRole('switch'),
      pane,
      status: pane.locator('.status'),
      title: pane.locator('.title'),
      undo: pane.getByRole('button', { name: 'Undo' })
    }
  }
  return { ada: pane('ada'), bob: pane('bob'), context, page }
}

/** Waits until elements have a text, or a field a value. */
async function has(locator, text) {
  let shown
  for (let end = Date.now() + 8000; Date.now() < end; ) {
    let texts = await locator.evaluateAll(all => all.map(it => it.innerText || it.value))
    shown = texts.join('\n')
    if (typeof text === 'string' ? shown.includes(text) : text.test(shown)) return
    await locator.page().waitForTimeout(20)
  }
  assert.fail(`Waited in vain for ${text} in ${JSON.stringify(shown)}`)
}

/** Types at the end of a text. */
async function type(editor, text) {
  await editor.click()
  await editor.press('Control+End')
  await editor.pressSequentially(text)
}

test('two people edit with and without a connection, undo, and look back', { skip }, async () => {
  let { ada, bob, page } = await open()
  await has(ada.editor, 'Who takes the piano?')
  let rows = page.locator('#log > li')
  await type(ada.editor, ' Nobody.')
  await has(bob.editor, 'door. Nobody.')
  await has(rows.first(), 'typed “Nobody.”')
  await bob.pane.locator('.cm-logux-caret', { hasText: 'Ada' }).waitFor()

  await bob.offline.click()
  await has(bob.status, 'Offline')
  await type(bob.editor, ' Sell it!')
  await bob.card('Pack the books').locator('.card-title').press('ArrowRight')
  await has(bob.lane(1), 'Pack the books')
  await has(bob.status, 'Offline, 2 edits wait')
  await has(rows.first(), /At Ada, it has not arrived[^]*At Bob, it waits/)
  await ada.title.fill('Moving on Saturday')
  await has(rows.first(), 'named it “Moving on Saturday”')
  assert.equal(await ada.lane(1).count(), 1, 'Ada knows nothing of it')

  await bob.offline.click()
  await has(bob.status, /^Online$/)
  await has(ada.editor, 'Nobody. Sell it!')
  await has(ada.lane(1), 'Pack the books')
  await has(bob.title, 'Moving on Saturday')
  await page.locator('[data-step=online].done').waitFor()

  // Her own latest step is the title, whatever Bob has done since.
  await ada.undo.click()
  await has(rows.first(), 'undid: named it')
  await has(bob.title, 'Moving day')
  await has(bob.editor, 'Nobody. Sell it!')
  assert.equal(await page.locator('.steps .done').count(), 4)

  await page.locator('#moment').focus()
  await page.keyboard.press('Home')
  await has(page.locator('#moment-text'), /^1 of \d+: /)
  assert.ok(!(await page.locator('#past').innerText()).includes('Nobody'))
  await page.keyboard.press('End')
  await has(page.locator('#past'), 'Nobody. Sell it!')
  await rows.last().locator('summary').click()
  await rows.last().getByRole('button', { name: 'Show the document then' }).click()
  await has(page.locator('#moment-text'), /^1 of \d+: /)

  await page.getByLabel('Show who wrote what').check()
  await has(bob.pane.locator('.author-ada').last(), 'Nobody.')
  await has(bob.pane.locator('.author-bob').last(), 'Sell it!')
  await bob.pane.locator('.author-ada').last().hover()
  await has(bob.pane.locator('.by'), /^Ada, \d\d:\d\d$/)
})

/** Resolves when the databases of a page are written: reading waits for that. */
async function written() {
  for (let { name } of await indexedDB.databases()) {
    await new Promise((resolve, reject) => {
      let opening = indexedDB.open(name)
      opening.onerror = () => reject(opening.error)
      opening.onsuccess = () => {
        let database = opening.result
        let reading = database.transaction(database.objectStoreNames)
        reading.oncomplete = () => resolve(database.close())
        reading.objectStore(database.objectStoreNames[0]).count()
      }
    })
  }
}

test('what was done without a connection is there after a reload', { skip }, async () => {
  let { ada, bob, page } = await open()
  await bob.offline.click()
  await type(bob.editor, ' From a train.')
  await has(bob.status, 'Offline, 1 edit waits')
  await page.evaluate(written)
  await page.reload()
  await page.locator('body[data-ready]').waitFor()
  await has(ada.editor, 'From a train.')
  await has(bob.editor, 'From a train.')
})

test('cards are moved by the pointer, and on a phone by buttons', { skip }, async () => {
  let { ada, bob, context } = await open()
  await ada.card('Sell the sofa').dragTo(ada.pane.locator('.lane').nth(2))
  await has(bob.lane(2), 'Sell the sofa')
  await context.close()

  let viewport = { height: 844, width: 390 }
  let phone = await open({ hasTouch: true, isMobile: true, viewport })
  await phone.page.getByRole('button', { name: 'Board' }).tap()
  await phone.bob.card('Sell the sofa').getByRole('button', { name: 'lane before' }).tap()
  await has(phone.ada.lane(1), 'Sell the sofa')
  let width = await phone.page.evaluate(() => document.documentElement.scrollWidth)
  assert.equal(width, viewport.width, 'nothing is beyond the edge')
})
