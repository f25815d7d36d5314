// The page of the application in `app/`, in a browser.

import { within } from '../../../tests/interop/helper/wait.js'

/** Opens the page. It records what it requests, and by which functions it compiles modules. */
export async function openPage(browser, url, server) {
  let context = await browser.newContext()
  let page = await context.newPage()
  let requested = []
  page.on('request', request => requested.push(new URL(request.url()).pathname))
  await page.addInitScript(() => {
    window.compiled = []
    for (let name of ['compile', 'compileStreaming']) {
      let original = WebAssembly[name]
      WebAssembly[name] = source => {
        window.compiled.push(name)
        return original(source)
      }
    }
  })
  await page.goto(url)
  await page.waitForFunction(() => window.isReady)
  return {
    close: () => context.close(),
    compiled: () => page.evaluate(() => window.compiled),
    /** A client edits a document. Returns what it shows. */
    edit: (userId, value, options) => {
      let edit = { server: server.url, userId, value, ...options }
      return within(page.evaluate(it => window.edit(it), edit), 'the edit of the page')
    },
    /** The same in a worker of a kind. */
    editIn: (kind, value) => {
      let edit = { server: server.url, userId: kind, value }
      let editing = page.evaluate(args => window.editInWorker(...args), [kind, edit])
      return within(editing, `the edit of a worker: ${kind}`)
    },
    /** Loads the package. */
    load: () => page.evaluate(() => window.load()),
    /** The paths of the modules that were requested. */
    modules: () => requested.filter(path => path.endsWith('.wasm'))
  }
}
