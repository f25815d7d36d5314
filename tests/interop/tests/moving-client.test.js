// The page about moving from `@logux/client` names each part of its API.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

let types = new URL('../node_modules/@logux/client/', import.meta.url)
let page = readFileSync(
  new URL('../../../crates/logux-client/src/docs/moving-client.md', import.meta.url),
  'utf8'
)

// Without comments.
function declarations(file) {
  return readFileSync(new URL(file, types), 'utf8').replace(/\/\*[^]*?\*\//g, '')
}

// The names that a file exports as values.
function exportsOf(file) {
  let text = declarations(file)
  let names = [...text.matchAll(/^export (?:const|function|class) (\w+)/gm)].map(found => found[1])
  for (let [, list] of text.matchAll(/^export \{([^}]+)\}/gm)) {
    names.push(...list.split(',').map(name => name.trim()))
  }
  return names
}

// The properties, methods and events of a class or an interface.
function members(file, name) {
  let body = declarations(file).split(new RegExp(`(?:class|interface) ${name}\\b`))[1]
  body = body.slice(body.indexOf('{\n') + 2, body.indexOf('\n}'))
  let names = [...body.matchAll(/^ {2}(?:readonly )?(\w+)[?(:<]/gm)].map(found => found[1])
  let events = [...body.matchAll(/event: ([^,]+),/g)].flatMap(found => found[1].match(/\w+/g))
  return [...names.filter(it => it !== 'constructor' && it !== 'on'), ...events]
}

// The values of a union of strings.
function values(file, name) {
  return [...declarations(file).split(`type ${name} =`)[1].split('\n\n')[0].matchAll(/'(\w+)'/g)].map(
    found => found[1]
  )
}

// Names of types that have no value of their own: the rows of their functions name what they are.
let isType = name => /^[A-Z]/.test(name) && !exported.has(name)
let files = readdirSync(types, { withFileTypes: true }).filter(it => it.isDirectory())
let exported = new Set(
  files.filter(it => it.name !== 'node_modules').flatMap(it => {
    try {
      return exportsOf(`${it.name}/index.d.ts`)
    } catch {
      return []
    }
  })
)

let named = new Map([
  ['exports', exportsOf('index.d.ts').filter(name => !isType(name))],
  ['exports for React', exportsOf('react/index.d.ts')],
  ['exports for Preact', exportsOf('preact/index.d.ts')],
  ['exports for Vue', exportsOf('vue/index.d.ts').filter(name => !isType(name))],
  ['members of Client', members('client/index.d.ts', 'Client')],
  ['options of Client', members('client/index.d.ts', 'ClientOptions')],
  ['meta of actions', members('client/index.d.ts', 'ClientMeta')],
  ['members of CrossTabClient', members('cross-tab-client/index.d.ts', 'CrossTabClient')],
  ['members of TestClient', members('test-client/index.d.ts', 'TestClient')],
  ['members of TestServer', members('test-server/index.d.ts', 'TestServer')],
  ['values of status', values('status/index.d.ts', 'StatusValue')],
  ['members of records', members('sync-map-template/index.d.ts', 'SyncMapStoreExt')],
  ['options of filters', members('create-filter/index.d.ts', 'FilterOptions')],
  ['fields of filters', ['isEmpty', 'isLoading', 'list', 'stores']]
])

for (let [what, names] of named) {
  test(`the page about moving has the ${what}`, () => {
    assert.ok(names.length > 0, `no ${what} in the types of @logux/client`)
    let cells = page.split('\n').filter(line => line.startsWith('| ')).map(line => line.split(' | ')[0])
    let words = new Set(cells.join(' ').match(/\w+/g))
    assert.deepEqual(names.filter(name => !words.has(name)), [])
  })
}
