// The web page of the README, in two windows of a browser.

import * as logux from '@logux/client'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

import { installBrowser } from '../helper/browser.js'
import '../helper/device.js'
import { scenario } from '../helper/scenario.js'
import { within } from '../helper/wait.js'

installBrowser()

// Runs the script of the page in a window with the elements that it uses.
function open(script, clients) {
  class CrossTabClient extends logux.CrossTabClient {
    constructor(options) {
      super(options)
      clients.push(this)
    }
  }
  let waiting = []
  let list = {
    items: [],
    replaceChildren(...items) {
      list.items = items
      for (let check of waiting) check()
    }
  }
  let form = {}
  let document = {
    createElement: () => ({}),
    querySelector: name => (name === 'ul' ? list : form)
  }
  new Function('logux', 'document', script)({ ...logux, CrossTabClient }, document)
  let titles = () => list.items.map(item => item.textContent)
  return {
    add(title) {
      let target = { reset() {}, title: { value: title } }
      form.onsubmit({ preventDefault() {}, target })
    },
    click(title) {
      list.items.find(item => item.textContent === title).onclick()
    },
    shows(expected) {
      let shown = new Promise(resolve => {
        let check = () => {
          if (titles().join() === expected.join()) resolve()
        }
        waiting.push(check)
        check()
      })
      return within(shown, () => `a window that shows ${expected}, it shows ${titles()}`)
    }
  }
}

scenario('two windows of the page in the README edit one list', async s => {
  let server = await s.serve()
  let readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')
  let scripts = [...readme.matchAll(/<script type="module">\n([^]*?)<\/script>/g)]
  let [, script] = scripts.find(([text]) => text.includes('@logux/client'))
  let local = script
    .replace('ws://127.0.0.1:31337', server.url)
    .replace(/import (\{[^]*?\}) from '@logux\/client'/, 'let $1 = logux')
  assert.ok(local.includes(server.url) && local.includes('= logux'))

  let clients = []
  try {
    let [one, two] = [open(local, clients), open(local, clients)]
    one.add('Tea')
    await two.shows(['Tea'])
    two.add('Milk')
    await one.shows(['Tea', 'Milk'])
    two.click('Tea')
    await one.shows(['Milk'])
  } finally {
    for (let client of clients) client.destroy()
  }
})
