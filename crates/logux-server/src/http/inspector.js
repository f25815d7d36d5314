'use strict'

// The intervals of requests for changes, in milliseconds: normally, and without a connection.
const INTERVAL = 700
const RETRY_INTERVAL = 3000

const find = id => document.getElementById(id)
const views = ['actions', 'clients', 'channels', 'events']
const lists = Object.fromEntries(views.map(view => [view, find(view).querySelector('ol')]))
const actions = new Map()
let events = []
let clients = []
let connected = 0
let server
let after = 0
let paused = false

// Returns an element with its children: strings and elements, never HTML.
function make(tag, properties, ...children) {
  let element = Object.assign(document.createElement(tag), properties)
  element.append(...children)
  return element
}

function clock(ms) {
  let date = new Date(ms)
  let two = number => String(number).padStart(2, '0')
  let parts = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two)
  let text = `${parts.join(':')}.${String(date.getMilliseconds()).padStart(3, '0')}`
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

// Returns the channel of a subscription, which says more than its type.
function channelOf(action) {
  if (!/^logux\/(un)?subscribe$/.test(action.type)) return ''
  try {
    return ` ${JSON.parse(action.action).channel ?? ''}`
  } catch {
    return ''
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
    make('span', { className: 'name' }, action.type, make('small', {}, channelOf(action))),
    make('span', { className: 'author' }, action.author),
    make('span', { className: `outcome ${kind}` }, word),
    make('span', { className: 'number' }, duration(action.took)),
    make('span', { className: 'number' }, action.clients === null ? '' : count(action.clients, 'client'))
  )
  row.more.replaceChildren(
    details([
      ['ID', make('span', { className: 'id' }, action.id)],
      ['Outcome', word],
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
  row.words = [action.id, action.type, action.author, action.action, outcome(action)[0], ...action.errors]
    .join('\n')
    .toLowerCase()
  fillAction(row, action)
}

function removeOldActions() {
  while (actions.size > 500) {
    let [id, row] = actions.entries().next().value
    row.element.remove()
    actions.delete(id)
  }
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
  let summary = make(
    'summary',
    { className: 'wide' },
    make('span', { className: 'outcome' }, count(nodes.length, 'subscriber')),
    make('span', { className: 'name' }, name),
    make('span', { className: 'author text' }, nodes.length > 3 ? '' : nodes.join(', '))
  )
  let more = make(
    'div',
    { className: 'more' },
    details([
      ['Subscribers', chips('clients', nodes)],
      ['Actions', link('actions', name, 'show actions that contain its name')]
    ])
  )
  return make('li', {}, make('details', {}, summary, more))
}

function eventRow(event) {
  return make(
    'li',
    { className: 'row wide' },
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
  focusedAgain?.querySelector('summary')?.focus()
}

function current() {
  let view = location.hash.slice(1)
  return views.includes(view) ? view : 'actions'
}

function show(now = Date.now()) {
  let view = current()
  let words = find('search').value.trim().toLowerCase()
  let onlyBad = find('only-bad').checked
  let has = (...texts) => texts.join('\n').toLowerCase().includes(words)

  let shown = { actions: 0 }
  for (let row of actions.values()) {
    let matches = row.words.includes(words) && (!onlyBad || isBad(row.action))
    row.element.hidden = !matches
    if (matches) shown.actions++
  }
  let shownClients = clients
    .filter(client => has(client.node, client.remote, ...client.channels) && (!onlyBad || client.unread > 0))
    .sort((a, b) => (a.node < b.node ? -1 : 1))
  let shownChannels = channels().filter(([name, nodes]) => !onlyBad && has(name, ...nodes))
  let shownEvents = events.filter(event => has(event.event, event.text) && (!onlyBad || event.is_bad)).reverse()
  draw('clients', shownClients, client => client.node, clientRow)
  draw('channels', shownChannels, ([name]) => name, ([name, nodes]) => channelRow(name, nodes))
  draw('events', shownEvents, event => event.change, eventRow)
  Object.assign(shown, { clients: shownClients.length, channels: shownChannels.length, events: shownEvents.length })

  for (let age of lists.clients.querySelectorAll('[data-since]')) {
    age.textContent = since(Number(age.dataset.since), now)
  }
  for (let name of views) {
    find(name).hidden = name !== view
    let tab = document.querySelector(`nav a[href="#${name}"]`)
    if (name === view) tab.setAttribute('aria-current', 'page')
    else tab.removeAttribute('aria-current')
  }
  find('actions-count').textContent = actions.size
  find('clients-count').textContent = connected
  find('channels-count').textContent = channels().length
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
    events = []
    server = update.started
  }
  find('version').textContent = update.version
  for (let action of update.actions) updateAction(action)
  removeOldActions()
  events = [...events, ...update.events].slice(-300)
  clients = update.clients
  connected = update.connected
  after = update.change
  show(update.now)
}

async function poll() {
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
      state('live', 'live')
    } catch {
      state('no connection', 'lost')
      return RETRY_INTERVAL
    }
  }
  return INTERVAL
}

async function run() {
  setTimeout(run, await poll())
}

find('url').textContent = location.origin.replace(/^http/, 'ws')
find('search').addEventListener('input', () => show())
find('only-bad').addEventListener('change', () => show())
document.querySelector('form').addEventListener('submit', event => event.preventDefault())
addEventListener('hashchange', () => show())
find('pause').addEventListener('click', () => {
  paused = !paused
  find('pause').textContent = paused ? 'Resume' : 'Pause'
  find('pause').setAttribute('aria-pressed', paused)
  if (paused) state('paused', 'waiting')
})
show()
run()
