'use strict'

// The view of documents: the list of a kind, or one document with its state, people, versions and
// actions. `inspector.js` decides when it is shown, and has the functions that both use.

// The number of members of a value that are shown at once, and of characters of a string.
const MEMBERS = 100
const EXCERPT = 100

const documents = {}
// What was drawn last in each element, to draw only what has changed.
const drawnParts = new Map()

// Begins again, with what a server has that was never asked.
function forgetDocuments() {
  Object.assign(documents, {
    isLoaded: false,
    kinds: [],
    kind: undefined,
    deleted: false,
    listed: [],
    after: null,
    // The pages of the list that are loaded: each but the first is requested by the user.
    pages: 1,
    // What the page has of the shown document. `undefined`: the list is shown.
    open: undefined
  })
}

forgetDocuments()

function bytes(number) {
  if (number < 1000) return `${number} B`
  if (number < 1_000_000) return `${(number / 1000).toFixed(1)} kB`
  return `${(number / 1_000_000).toFixed(1)} MB`
}

// Returns the place of a document in the page, as the part of the address after `#`.
function documentPlace(kind, id) {
  return `documents/${encodeURIComponent(kind)}/${encodeURIComponent(id)}`
}

// Returns the kind and the id of the document in the address.
function placeOf(hash) {
  let [view, kind, id] = hash.split('/')
  if (view !== 'documents' || !id) return undefined
  try {
    return { kind: decodeURIComponent(kind), id: decodeURIComponent(id) }
  } catch {
    return undefined
  }
}

async function askDocuments(query) {
  let response = await fetch(`/inspector/documents.json?${new URLSearchParams(query)}`)
  let answer = await response.json()
  if (!response.ok) throw Object.assign(new Error(answer.message), { reason: answer.error })
  return answer
}

async function loadList() {
  let { kind, deleted } = documents
  let listed = []
  let query = kind === undefined ? {} : { kind }
  if (deleted) query.deleted = true
  let answer
  for (let page = 0; page < documents.pages; page++) {
    answer = await askDocuments(query)
    documents.isLoaded = true
    if (!answer.kinds.length) return
    query = { ...query, kind: answer.kind, after: answer.after }
    listed.push(...answer.documents)
    if (answer.after === null) break
  }
  // The user may have chosen something else in the meantime.
  if (documents.kind !== kind || documents.deleted !== deleted) return
  Object.assign(documents, { kinds: answer.kinds, kind: answer.kind, listed, after: answer.after })
}

async function loadDocument(place) {
  let open = documents.open
  if (open?.kind !== place.kind || open?.id !== place.id) {
    // `version` counts the states that were received, now or at a chosen position.
    open = { ...place, paths: new Map([['', true]]), older: [], chosen: undefined, version: 0 }
    documents.open = open
  }
  let query = { kind: open.kind, id: open.id }
  if (open.position != null) query.known = open.position
  try {
    let answer = await askDocuments(query)
    open.error = undefined
    let isChanged = answer.actions !== undefined
    if (isChanged) {
      open.version++
      open.value = answer.value
      open.valueBytes = answer.valueBytes
      open.actions = answer.actions
      open.older = []
    }
    for (let name of ['document', 'position', 'versions', 'people', 'present', 'subscribers']) {
      open[name] = answer[name]
    }
    if (isChanged && open.chosen) await loadMoment(open)
  } catch (error) {
    if (!error.reason) throw error
    open.error = error.message
  }
}

// Loads the state at the chosen position, and its differences to now.
async function loadMoment(open) {
  let { position } = open.chosen
  try {
    let then = await askDocuments({ kind: open.kind, id: open.id, position })
    if (open.chosen?.position === position) open.chosen = { ...open.chosen, then, error: undefined }
    open.version++
  } catch (error) {
    if (!error.reason) throw error
    if (open.chosen?.position === position) open.chosen = { ...open.chosen, error: error.message }
    open.version++
  }
}

async function choose(position, label) {
  let open = documents.open
  open.chosen = position === undefined ? undefined : { position, label }
  showDocument()
  if (position === undefined) return
  await loadMoment(open).catch(() => state('no connection', 'lost'))
  showDocument()
  // On a narrow page, the state is above the actions.
  find('document-state').scrollIntoView({ block: 'nearest' })
}

// Loads what the view shows.
async function pollDocuments() {
  let place = placeOf(location.hash.slice(1))
  if (place) await loadDocument(place)
  else documents.open = undefined
  if (!place || !documents.kinds.length) await loadList()
}

// Draws an element with new content, unless nothing has changed: `key` has all that the content
// depends on. The keyboard focus is preserved.
function fill(id, key, content) {
  let element = find(id)
  let drawn = JSON.stringify(key)
  if (drawnParts.get(id) === drawn) return
  drawnParts.set(id, drawn)
  let focused = element.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined
  element.replaceChildren(...content())
  if (focused === undefined) return
  for (let other of element.querySelectorAll('[data-focus]')) {
    if (other.dataset.focus === focused) other.focus({ preventScroll: true })
  }
}

// Returns a button with a text or an element. `focus` is its name within its part of the page.
function button(content, focus, click, properties = {}) {
  let element = make('button', { type: 'button', ...properties }, content)
  element.dataset.focus = focus
  element.addEventListener('click', click)
  return element
}

function people(number) {
  return number === 1 ? '1 person' : `${number} people`
}

function documentRow(entry) {
  let href = `#${documentPlace(documents.kind, entry.id)}`
  let cells = [
    clock(entry.changedAt, true),
    make('span', { className: 'name' }, entry.id, ...(entry.deletedAt ? [' ', make('small', { className: 'bad' }, 'deleted')] : [])),
    make('span', { className: 'author' }, entry.creator ?? ''),
    make('span', { className: 'outcome' }, entry.present ? people(entry.present) : ''),
    make('span', { className: 'number' }, count(entry.actions, 'action')),
    make('span', { className: 'number' }, bytes(entry.bytes))
  ]
  return make('li', {}, make('a', { href, className: 'row' }, ...cells))
}

// Draws the list of documents. Returns the number of those that match.
function showList(has, onlyBad) {
  let { kinds, kind, listed, deleted, after } = documents
  fill('document-kinds', [kinds, kind, deleted], () => [
    ...kinds.map(name =>
      button(name, `kind ${name}`, () => chooseList({ kind: name }), { ariaPressed: name === kind })
    ),
    button('Deleted', 'deleted', () => chooseList({ deleted: !deleted }), { ariaPressed: deleted })
  ])
  let shown = listed.filter(entry => !onlyBad && has(entry.id, entry.creator ?? ''))
  draw('documents', shown, entry => entry.id, documentRow)
  fill('document-more', after, () =>
    after === null ? [] : [button('Show more', 'more', () => chooseList({ pages: documents.pages + 1 }))]
  )
  return shown.length
}

function chooseList(choice) {
  Object.assign(documents, { pages: 1 }, choice)
  if (choice.pages === undefined) Object.assign(documents, { listed: [], after: null })
  show()
  loadList().then(() => show(), () => state('no connection', 'lost'))
}

// Returns a scalar, or the beginning of a long string that can be opened.
function scalar(value, path, paths) {
  let text = JSON.stringify(value)
  let className = `type-${value === null ? 'null' : typeof value}`
  if (typeof value !== 'string' || value.length <= EXCERPT) return make('code', { className }, text)
  let summary = make('summary', {}, make('code', { className }, `${JSON.stringify(value.slice(0, EXCERPT))}…`), make('span', { className: 'size' }, ` ${value.length} characters`))
  summary.dataset.focus = path
  let whole = make('details', { className: 'long', open: paths.has(path) }, summary, make('pre', { tabIndex: 0 }, value))
  whole.addEventListener('toggle', () => (whole.open ? paths.set(path, true) : paths.delete(path)))
  return whole
}

// Returns the tree of a value. The content of an object or array is made when it is opened, and
// stays open when the value changes.
function tree(name, value, path, paths) {
  let label = name === undefined ? [] : [make('span', { className: 'key' }, name), ': ']
  if (value === null || typeof value !== 'object') return make('li', {}, ...label, scalar(value, path, paths))
  let isArray = Array.isArray(value)
  let members = isArray ? value.map((item, index) => [index, item]) : Object.entries(value)
  let size = isArray ? `[${members.length}]` : `{${members.length}}`
  if (!members.length) return make('li', {}, ...label, make('code', {}, isArray ? '[]' : '{}'))
  let summary = make('summary', {}, ...label, make('span', { className: 'size' }, size))
  summary.dataset.focus = path
  let list = make('ul')
  let details = make('details', {}, summary, list)
  let fillMembers = () => {
    let limit = Math.max(MEMBERS, Number(paths.get(path)) || 0)
    list.replaceChildren(
      ...members.slice(0, limit).map(([key, item]) => tree(key, item, `${path}/${key}`, paths))
    )
    if (members.length <= limit) return
    let more = button(`Show more of ${members.length}`, `${path} more`, () => {
      paths.set(path, limit + MEMBERS)
      fillMembers()
    })
    list.append(make('li', {}, more))
  }
  details.addEventListener('toggle', () => {
    if (!details.open) return paths.delete(path)
    if (!paths.has(path)) paths.set(path, true)
    if (!list.children.length) fillMembers()
  })
  if (paths.has(path)) {
    details.open = true
    fillMembers()
  }
  return make('li', {}, details)
}

// Returns the parts of the difference of a text: what stays is shortened.
function delta(parts, before) {
  let at = 0
  let shown = []
  for (let part of parts) {
    if (part.retain !== undefined) {
      let kept = before?.slice(at, at + part.retain)
      if (kept?.length > 40) kept = `${kept.slice(0, 15)}…${kept.slice(-15)}`
      at += part.retain
      shown.push(make('span', { className: 'size' }, kept ?? ` ${part.retain} characters `))
    } else if (part.insert !== undefined) {
      shown.push(make('ins', {}, part.insert))
    } else {
      shown.push(make('del', {}, before?.slice(at, at + part.delete) ?? `${part.delete} characters`))
      at += part.delete
    }
  }
  return shown
}

// Returns the value at a JSON Pointer, if it has only names of members.
function valueAt(value, path) {
  for (let part of path.split('/').slice(1)) {
    value = value?.[part.replaceAll('~1', '/').replaceAll('~0', '~')]
  }
  return typeof value === 'string' ? value : undefined
}

function changeRow(change, before) {
  let value = json => (typeof json === 'string' && json.length <= EXCERPT ? JSON.stringify(json) : JSON.stringify(json).slice(0, EXCERPT))
  let parts = []
  if (change.delta) parts.push(make('span', { className: 'delta' }, ...delta(change.delta, valueAt(before, change.path))))
  if ('before' in change) parts.push(make('del', {}, value(change.before)))
  if ('after' in change) parts.push(make('ins', {}, value(change.after)))
  if (change.moved) parts.push('moved')
  return make('li', {}, make('span', { className: 'key' }, change.path || 'the whole'), ...parts)
}

function moment(open) {
  let { chosen } = open
  if (chosen.error) return [make('p', { className: 'bad' }, chosen.error)]
  if (!chosen.then) return [make('p', { className: 'soft' }, 'Loading…')]
  return stateTree(chosen.then, open.paths)
}

function stateTree({ value, valueBytes }, paths) {
  if (value !== undefined) return [make('ul', { className: 'tree' }, tree(undefined, value, '', paths))]
  if (valueBytes === undefined) return [make('p', { className: 'soft' }, 'It shows nothing.')]
  return [make('p', { className: 'soft' }, `${bytes(valueBytes)} are too much for this page: use logux documents show.`)]
}

function differences({ then }) {
  if (!then) return []
  let { changes, changesBytes } = then
  if (!changes) return [make('p', { className: 'soft' }, `The differences have ${bytes(changesBytes)}: use logux documents diff.`)]
  if (!changes.length) return [make('p', { className: 'soft' }, 'It shows the same now.')]
  let rows = changes.slice(0, 500).map(change => changeRow(change, then.value))
  return [make('ol', { className: 'changes' }, ...rows)]
}

function personRow(person) {
  let shown
  try {
    shown = JSON.parse(person.state)
  } catch {
    shown = {}
  }
  let name = typeof shown?.name === 'string' ? shown.name : person.user ?? ''
  return make(
    'li',
    {},
    make('b', {}, name),
    ' ',
    make('span', { className: 'id soft' }, person.node),
    make('code', { className: 'state' }, person.state)
  )
}

// Returns a button that shows the state at a position, or now again.
function chooser(position, label, content) {
  let isChosen = documents.open.chosen?.label === label
  let click = () => (isChosen ? choose() : choose(position, label))
  return button(content, label, click, { ariaPressed: isChosen, className: 'choice' })
}

function versionRow(version) {
  let label = `version ${version.name}`
  return make(
    'li',
    {},
    chooser(version.position, label, version.name),
    make('span', { className: 'soft' }, ' ', clock(version.at, true), version.user ? ` by ${version.user}` : '', ` at position ${version.position}`)
  )
}

function operationRow({ op, path, rest }) {
  return make(
    'li',
    {},
    make('b', {}, op ?? 'operation'),
    ' ',
    make('span', { className: 'key' }, path ?? ''),
    ' ',
    make('code', {}, rest)
  )
}

function historyRow(entry) {
  let verb = entry.type.split('/').pop()
  let what = entry.undoes ? `undo of ${entry.undoes}` : entry.restores ? `restore of position ${entry.restores.position}` : verb
  let who = entry.restores?.user ?? entry.user ?? 'the server'
  let more = entry.operations > entry.ops.length ? [make('li', { className: 'soft' }, `${entry.operations - entry.ops.length} more`)] : []
  return make(
    'li',
    {},
    chooser(entry.position, `position ${entry.position}`, String(entry.position)),
    ' ',
    make('b', {}, who),
    ` ${what} `,
    make('span', { className: 'soft' }, clock(entry.at, true)),
    make('div', { className: 'id soft' }, entry.id),
    make('ul', { className: 'ops' }, ...entry.ops.map(operationRow), ...more)
  )
}

async function loadOlder() {
  let open = documents.open
  let last = open.older.at(-1) ?? open.actions
  let older = await askDocuments({ kind: open.kind, id: open.id, before: last.before })
  open.older = [...open.older, older]
  showDocument()
}

// Draws the shown document.
function showDocument() {
  let open = documents.open
  if (!open) return
  let { document: entry, chosen, versions = [], people: present = [] } = open
  let head = [open.kind, open.id, open.error, entry, open.position, open.subscribers]
  fill('document-head', head, () => [
    make('h2', {}, make('a', { href: '#documents' }, open.kind), ' / ', open.id),
    ...(open.error ? [make('p', { className: 'bad' }, open.error)] : []),
    ...(entry
      ? [
          details([
            ['Creator', entry.creator],
            ['Created', clock(entry.createdAt, true)],
            ['Changed', clock(entry.changedAt, true)],
            ['Deleted', entry.deletedAt ? make('span', { className: 'bad' }, clock(entry.deletedAt, true)) : ''],
            ['Size', `${bytes(entry.bytes)} in the log, ${count(entry.actions, 'action')} since the snapshot`],
            ['Shows', open.valueBytes === undefined ? '' : `${bytes(open.valueBytes)} of JSON`],
            ['Position', open.position === null ? '' : String(open.position)],
            ['Subscribers', link('channels', `${open.kind}/${open.id}`, String(open.subscribers))]
          ])
        ]
      : [])
  ])
  find('document-parts').hidden = !entry
  if (!entry) return
  let drawn = [open.kind, open.id, open.version, chosen?.label]
  fill('document-state', drawn, () => (chosen ? moment(open) : stateTree(open, open.paths)))
  find('document-state-title').textContent = chosen ? `State at ${chosen.label}` : 'State'
  fill('document-now', drawn, () => (chosen ? [button('Back to now', 'now', () => choose())] : []))
  find('document-differences').hidden = !chosen?.then
  fill('document-changes', drawn, () => (chosen ? differences(chosen) : []))
  find('document-people-count').textContent = open.present
  fill('document-people', present, () =>
    present.length ? present.map(personRow) : [make('li', { className: 'soft' }, 'Nobody shows itself.')]
  )
  fill('document-versions', [versions, drawn], () =>
    versions.length ? versions.toReversed().map(versionRow) : [make('li', { className: 'soft' }, 'None has a name.')]
  )
  let pages = [open.actions, ...open.older]
  fill('document-actions', [drawn, pages.length], () =>
    pages.flatMap(page => page.entries.map(historyRow))
  )
  let { before } = pages.at(-1)
  fill('document-older', [drawn, before], () =>
    before === null ? [] : [button('Show earlier', 'older', () => loadOlder().catch(() => state('no connection', 'lost')))]
  )
}
