'use strict'

// The intervals of requests for changes, in milliseconds: normally, and without a connection.
const INTERVAL = 700
const RETRY_INTERVAL = 3000

const find = id => document.getElementById(id)
const views = ['actions', 'records', 'documents', 'clients', 'channels', 'events']
const lists = Object.fromEntries(views.map(view => [view, find(view).querySelector('ol')]))
const actions = new Map()
const records = new Map()
let events = []
let clients = []
let connected = 0
// The number of nodes that show themselves, by channel.
let presence = {}
let server
let after = 0
let paused = false

// Returns an element with its children: strings and elements, never HTML.
function make(tag, properties, ...children) {
  let element = Object.assign(document.createElement(tag), properties)
  element.append(...children)
  return element
}

// Returns a time of the day; with `withDate` the date and the time without milliseconds, unless it
// is today.
function clock(ms, withDate = false) {
  let date = new Date(ms)
  let two = number => String(number).padStart(2, '0')
  let parts = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two)
  let text = `${parts.join(':')}.${String(date.getMilliseconds()).padStart(3, '0')}`
  if (withDate) {
    let isToday = date.toDateString() === new Date().toDateString()
    let day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(two).join('-')
    text = isToday ? parts.join(':') : `${day} ${parts.slice(0, 2).join(':')}`
  }
  return make('time', { dateTime: date.toISOString(), title: date.toString() }, text)
}

function since(ms, now) {
  let seconds = Math.max(0, Math.round((now - ms) / 1000))
  if (seconds < 60) return `for ${seconds} s`
  if (seconds < 3600) return `for ${Math.floor(seconds / 60)} min`
  return `for ${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
}

function duration(ms) {
  if (ms === null) return ''
  return ms < 10 ? `${ms.toFixed(2)} ms` : `${Math.round(ms)} ms`
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2)
  } catch {
    return json
  }
}

// Returns the outcome of an action as a text and a CSS class.
function outcome(action) {
  if (action.outcome === 'undone') return [action.reason, 'bad']
  if (action.outcome === 'processed') return ['processed', 'good']
  if (action.outcome === 'sent') return ['sent', 'good']
  return [action.waited === null ? 'waiting' : 'in progress', 'busy']
}

// Returns an action's content besides its type as elements: the id of its record in bold, then its
// fields. The text of a long action is cut off, so it may not be JSON.
function content(action) {
  let parsed
  try {
    parsed = JSON.parse(action.action)
  } catch {
    return [action.action.slice(0, 300)]
  }
  let { type, id, fields, ...others } = parsed
  let shown = []
  if (id !== undefined) shown.push(make('b', {}, typeof id === 'string' ? id : JSON.stringify(id)), ' ')
  let values = fields !== null && typeof fields === 'object' ? { ...fields, ...others } : others
  if (fields !== undefined && !(fields !== null && typeof fields === 'object')) values.fields = fields
  // The whole undone action would hide the reason.
  if (type === 'logux/undo') delete values.action
  let pairs = Object.entries(values).map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
  shown.push(pairs.join(', ').slice(0, 300))
  return shown
}

// Returns the id of the record that an action is about, with its collection.
function recordOf(action) {
  let [, collection, verb] = /^(.+)\/(created?|changed?|deleted?)$/.exec(action.type) ?? []
  if (!collection) return undefined
  try {
    let { id } = JSON.parse(action.action)
    return typeof id === 'string' ? { collection, id, key: `${collection}/${id}`, verb } : undefined
  } catch {
    return undefined
  }
}

function isBad(action) {
  return action.outcome === 'undone' || action.errors.length > 0
}

function details(pairs) {
  let list = make('dl')
  for (let [name, value] of pairs) {
    if (value !== null && value !== undefined && value !== '') list.append(make('dt', {}, name), make('dd', {}, value))
  }
  return list
}

function fillAction(row, action) {
  let [word, kind] = outcome(action)
  row.summary.replaceChildren(
    clock(action.came),
    make('span', { className: 'name' }, action.type),
    make('span', { className: 'content' }, ...content(action)),
    make('span', { className: 'author' }, action.author),
    make('span', { className: `outcome ${kind}` }, word),
    make('span', { className: 'number' }, duration(action.took)),
    make('span', { className: 'number' }, action.clients === null ? '' : count(action.clients, 'client'))
  )
  row.more.replaceChildren(
    details([
      ['ID', make('span', { className: 'id' }, action.id)],
      ['Outcome', word],
      ['Answer', action.answer === null ? '' : actionLink(action.answer)],
      ['Answers', action.answers === null ? '' : actionLink(action.answers)],
      ['Record', recordOf(action) ? recordLink(recordOf(action)) : ''],
      ['Waited', duration(action.waited)],
      ['Took', duration(action.took)],
      ['Sent to', action.clients === null ? '' : count(action.clients, 'client')],
      ['In the log', action.is_cleaned ? 'removed' : action.is_kept ? 'yes' : 'not stored'],
      ['Received again', action.again ? count(action.again, 'time') : ''],
      ['Error', action.errors.length ? make('span', { className: 'bad' }, action.errors.join('\n')) : '']
    ]),
    make('pre', { tabIndex: 0 }, pretty(action.action))
  )
}

// Adds or updates an action. Rows are reused, so that an open one stays open.
function updateAction(action) {
  let row = actions.get(action.id)
  if (!row) {
    row = { summary: make('summary'), more: make('div', { className: 'more' }) }
    row.element = make('li', { className: 'new' }, make('details', {}, row.summary, row.more))
    actions.set(action.id, row)
    lists.actions.prepend(row.element)
  }
  row.action = action
  row.element.classList.toggle('is-answer', action.answers !== null)
  row.words = [action.id, action.type, action.author, action.action, outcome(action)[0], ...action.errors]
    .join('\n')
    .toLowerCase()
  fillAction(row, action)
}

// Adds or updates a record, the latest changed last.
function updateRecord(record) {
  let key = `${record.collection}/${record.id}`
  records.delete(key)
  records.set(key, record)
  if (records.size > 500) records.delete(records.keys().next().value)
}

function removeOldActions() {
  while (actions.size > 1000) {
    let [id, row] = actions.entries().next().value
    row.element.remove()
    actions.delete(id)
  }
}

// Returns a link to the row of an action, or its id if the page does not have it.
function actionLink(id) {
  let label = actions.get(id)?.action.type
  let element = make('a', { href: '#actions', className: 'id' }, label ? `${label} ${id}` : id)
  element.addEventListener('click', event => {
    let row = actions.get(id)
    if (!row) return
    event.preventDefault()
    // Without the event `hashchange`, which scrolls to the beginning of the view.
    history.pushState(null, '', '#actions')
    find('search').value = ''
    find('only-bad').checked = false
    if (row.action.answers !== null) find('answers').checked = true
    show()
    let details = row.element.firstChild
    details.open = true
    row.element.scrollIntoView()
    row.summary.focus({ preventScroll: true })
  })
  return element
}

// Returns a link to the record of an action, if the page has it.
function recordLink({ collection, id, key }) {
  return records.has(key) ? link('records', key) : `${collection}/${id}`
}

function recordRow(record) {
  let key = `${record.collection}/${record.id}`
  let fields = Object.entries(record.fields)
  let word = record.is_deleted ? 'deleted' : ''
  let summary = make(
    'summary',
    {},
    clock(record.time),
    make('span', { className: 'author' }, record.collection),
    make('span', { className: 'name' }, record.id),
    make('span', { className: 'content fields' }, fields.map(([name, value]) => `${name}: ${value}`).join(', ')),
    make('span', { className: 'outcome bad' }, word)
  )
  let values = fields.map(([name, value]) => [name, make('code', {}, value)])
  let more = make(
    'div',
    { className: 'more' },
    details([
      ...values,
      ['Last change', actionLink(record.action)],
      ['Actions', link('actions', `"id":"${record.id}"`, 'show actions with its id')],
      ['Subscribers', link('channels', key, 'show its channel')]
    ])
  )
  return make('li', {}, make('details', {}, summary, more))
}

// Returns a link that searches for a text in another view.
function link(view, text, label = text) {
  let element = make('a', { href: `#${view}` }, label)
  element.addEventListener('click', () => {
    find('search').value = text
    find('only-bad').checked = false
  })
  return element
}

function chips(view, texts) {
  return make('ul', { className: 'chips' }, ...texts.map(text => make('li', {}, link(view, text))))
}

function clientRow(client) {
  let age = make('span', { className: 'since' })
  if (client.since !== null) age.dataset.since = client.since
  let waiting = client.waiting ? `${count(client.waiting, 'action')} waiting` : ''
  let unread = client.unread ? `${count(client.unread, 'message')} unread` : ''
  let summary = make(
    'summary',
    {},
    age,
    make('span', { className: 'name' }, client.node),
    make('span', { className: 'author' }, client.remote ?? ''),
    make('span', { className: 'outcome' }, count(client.channels.length, 'channel')),
    make('span', { className: 'number' }, waiting),
    make('span', { className: 'number' }, unread)
  )
  let more = make(
    'div',
    { className: 'more' },
    details([
      ['Address', client.remote],
      ['Subprotocol', client.subprotocol],
      ['Waiting', waiting || 'nothing'],
      ['Unread', client.unread ? `${unread}, ${client.unread_bytes} bytes` : 'nothing'],
      ['Its actions', link('actions', client.node.split(':').slice(0, 2).join(':'), 'show')],
      ['Channels', client.channels.length ? chips('channels', client.channels) : 'none']
    ])
  )
  return make('li', {}, make('details', {}, summary, more))
}

function channelRow(name, nodes) {
  let [, kind, id] = /^([^/]+)\/(.+)$/s.exec(name) ?? []
  let summary = make(
    'summary',
    {},
    make('span', { className: 'outcome' }, count(nodes.length, 'subscriber')),
    make('span', { className: 'present' }, presence[name] ? `${presence[name]} present` : ''),
    make('span', { className: 'name' }, name),
    make('span', { className: 'author text' }, nodes.length > 3 ? '' : nodes.join(', '))
  )
  let more = make(
    'div',
    { className: 'more' },
    details([
      ['Subscribers', chips('clients', nodes)],
      ['Document', documents.kinds.includes(kind) ? make('a', { href: `#${documentPlace(kind, id)}` }, name) : ''],
      ['Actions', link('actions', name, 'show actions that contain its name')]
    ])
  )
  return make('li', {}, make('details', {}, summary, more))
}

function eventRow(event) {
  return make(
    'li',
    { className: 'row' },
    clock(event.time),
    make('span', { className: event.is_bad ? 'name bad' : 'name' }, event.event),
    make('span', { className: 'text' }, event.text)
  )
}

function channels() {
  let found = new Map()
  for (let client of clients) {
    for (let channel of client.channels) found.set(channel, [...(found.get(channel) ?? []), client.node])
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1))
}

// Draws a list with new rows, unless nothing has changed. Open rows and the keyboard focus are
// preserved.
function draw(view, items, key, row) {
  let list = lists[view]
  let drawn = JSON.stringify(items)
  if (list.dataset.drawn === drawn) return
  list.dataset.drawn = drawn
  let rows = [...list.children]
  let open = new Set(rows.filter(item => item.querySelector('details[open]')).map(item => item.dataset.key))
  let focused = rows.find(item => item.contains(document.activeElement))?.dataset.key
  list.replaceChildren(
    ...items.map(item => {
      let element = row(item)
      element.dataset.key = key(item)
      if (open.has(element.dataset.key)) element.querySelector('details').open = true
      return element
    })
  )
  let focusedAgain = [...list.children].find(item => item.dataset.key === focused)
  focusedAgain?.querySelector('summary, a')?.focus()
}

function current() {
  let [view] = location.hash.slice(1).split('/')
  return views.includes(view) ? view : 'actions'
}

function show(now = Date.now()) {
  let view = current()
  let words = find('search').value.trim().toLowerCase()
  let onlyBad = find('only-bad').checked
  let has = (...texts) => texts.join('\n').toLowerCase().includes(words)

  let shown = { actions: 0 }
  for (let row of actions.values()) {
    let isShown = find('answers').checked || row.action.answers === null
    let matches = isShown && row.words.includes(words) && (!onlyBad || isBad(row.action))
    row.element.hidden = !matches
    if (matches) shown.actions++
  }
  let shownClients = clients
    .filter(client => has(client.node, client.remote, ...client.channels) && (!onlyBad || client.unread > 0))
    .sort((a, b) => (a.node < b.node ? -1 : 1))
  let shownChannels = channels().filter(([name, nodes]) => !onlyBad && has(name, ...nodes))
  let shownEvents = events.filter(event => has(event.event, event.text) && (!onlyBad || event.is_bad)).reverse()
  let shownRecords = [...records.values()]
    .filter(record => !onlyBad && has(`${record.collection}/${record.id}`, JSON.stringify(record.fields)))
    .sort((a, b) => b.change - a.change)
  draw('records', shownRecords, record => `${record.collection}/${record.id}`, recordRow)
  draw('clients', shownClients, client => client.node, clientRow)
  let rows = shownChannels.map(([name, nodes]) => [name, nodes, presence[name], documents.kinds])
  draw('channels', rows, ([name]) => name, ([name, nodes]) => channelRow(name, nodes))
  draw('events', shownEvents, event => event.change, eventRow)
  let isList = !placeOf(location.hash.slice(1))
  find('document-list').hidden = !isList
  find('document').hidden = isList
  shown.documents = isList ? showList(has, onlyBad) : 1
  showDocument()
  document.querySelector('nav a[href="#documents"]').hidden = !documents.kinds.length
  Object.assign(shown, { records: shownRecords.length, clients: shownClients.length, channels: shownChannels.length, events: shownEvents.length })

  for (let age of lists.clients.querySelectorAll('[data-since]')) {
    age.textContent = since(Number(age.dataset.since), now)
  }
  for (let name of views) {
    find(name).hidden = name !== view
    let tab = document.querySelector(`nav a[href="#${name}"]`)
    if (name === view) tab.setAttribute('aria-current', 'page')
    else tab.removeAttribute('aria-current')
  }
  find('actions-count').textContent = [...actions.values()].filter(row => row.action.answers === null).length
  find('records-count').textContent = [...records.values()].filter(record => !record.is_deleted).length
  find('clients-count').textContent = connected
  find('channels-count').textContent = channels().length
  find('documents-count').textContent = `${documents.listed.length}${documents.after === null ? '' : '+'}`
  find('events-count').textContent = events.length
  find('empty').hidden = shown[view] > 0
  find('empty').textContent = words || onlyBad ? `No ${view} match.` : `No ${view} yet.`
}

function state(word, kind) {
  if (find('state').textContent !== word) find('state').textContent = word
  find('state').className = kind
}

function applyUpdate(update) {
  if (server !== update.started) {
    // The page shows another server, or the server has restarted.
    for (let row of actions.values()) row.element.remove()
    actions.clear()
    records.clear()
    events = []
    forgetDocuments()
    server = update.started
  }
  find('version').textContent = update.version
  for (let record of update.records) updateRecord(record)
  for (let action of update.actions) updateAction(action)
  removeOldActions()
  events = [...events, ...update.events].slice(-300)
  clients = update.clients
  connected = update.connected
  presence = update.present
  after = update.change
  show(update.now)
}

async function poll() {
  let start = performance.now()
  if (!paused && !document.hidden) {
    try {
      let response = await fetch(`/inspector.json?after=${after}`)
      if (!response.ok) throw new Error(response.status)
      let update = await response.json()
      if (server !== undefined && server !== update.started && after > 0) {
        after = 0
        update = await (await fetch('/inspector.json?after=0')).json()
      }
      applyUpdate(update)
      if (current() === 'documents' || !documents.isLoaded) {
        await pollDocuments()
        show(update.now)
      }
      state('live', 'live')
    } catch {
      state('no connection', 'lost')
      return RETRY_INTERVAL
    }
  }
  // A server that answers slowly, for example because documents are large, is asked less often.
  return Math.max(INTERVAL, 2 * (performance.now() - start))
}

async function run() {
  setTimeout(run, await poll())
}

find('url').textContent = location.origin.replace(/^http/, 'ws')
find('search').addEventListener('input', () => show())
for (let id of ['only-bad', 'answers']) find(id).addEventListener('change', () => show())
document.querySelector('form').addEventListener('submit', event => event.preventDefault())
addEventListener('hashchange', () => {
  show()
  if (current() === 'documents') pollDocuments().then(() => show(), () => state('no connection', 'lost'))
  // The view was hidden when the browser followed the link.
  find(current()).scrollIntoView()
})
find('pause').addEventListener('click', () => {
  paused = !paused
  find('pause').textContent = paused ? 'Resume' : 'Pause'
  find('pause').setAttribute('aria-pressed', paused)
  if (paused) state('paused', 'waiting')
})
show()
run()
