// Imports everything that a page imports, and renders a component, as a server does. Prints as JSON
// what is rendered, and what the package has done to this process.

let hasDom = 'document' in globalThis || 'window' in globalThis

// React and CodeMirror are not what is tested.
let { createElement } = await import('react')
let { renderToString } = await import('react-dom/server')
await import('@codemirror/view')

// Node.js makes some globals when they are first read.
let before = new Map(Object.getOwnPropertyNames(globalThis).map(name => [name, globalThis[name]]))

// Node.js itself has modules too, such as one that reads HTTP.
let isOwn = () => new Error().stack.includes('/node_modules/logux-web/')
let compiled = []
for (let name of ['compile', 'compileStreaming', 'instantiate', 'instantiateStreaming', 'Module']) {
  let original = WebAssembly[name]
  WebAssembly[name] = function (...values) {
    if (isOwn()) compiled.push(name)
    return new.target ? new original(...values) : original(...values)
  }
}

let parts = ['', '/codemirror', '/devtools', '/input', '/react', '/replay', '/testing']
for (let part of parts) await import(`logux-web${part}`)
let hooks = await import('logux-web/react')

function Page({ client }) {
  let { document, status } = hooks.useDocument(client, 'notes', '1')
  let { value } = hooks.useText(document, 'body')
  let { others } = hooks.usePresence(document)
  let { records } = hooks.useRecords(client, 'tasks', { filter: { done: false } })
  let task = hooks.useRecord(client, 'tasks', '1')
  let title = hooks.useValue(document, 'title')
  let shown = { others, records, status, task, title, value }
  return createElement('p', {}, `${hooks.useStatus(client)} ${JSON.stringify(shown)}`)
}

let html = renderToString(createElement(Page, { client: undefined }))
let names = new Set([...before.keys(), ...Object.getOwnPropertyNames(globalThis)])
let changed = [...names].filter(name => !Object.is(before.get(name), globalThis[name]))
console.log(JSON.stringify({ changed, compiled, hasDom, html }))
