// A panel for developers: the log of a client, and its documents at any moment.

import { DocumentView } from './document-view.js'
import { count, make } from './elements.js'
import { LogView } from './log-view.js'
import { css } from './style.js'

/** How often an open panel reads the log, in milliseconds. */
const INTERVAL = 500

/** Shows a panel for a client. See `devtools.d.ts`. */
export function devtools(client, { isOpen = false, parent = document.body } = {}) {
  let host = make('logux-devtools')
  let root = host.attachShadow({ mode: 'open' })
  let sheet = new CSSStyleSheet()
  sheet.replaceSync(css)
  root.adoptedStyleSheets = [sheet]
  let panel = new Panel(client)
  root.append(panel.launcher, panel.element)
  parent.append(host)
  panel.show(isOpen)
  let timer = setInterval(() => panel.update(), INTERVAL)
  return () => {
    clearInterval(timer)
    host.remove()
  }
}

class Panel {
  constructor(client) {
    this.client = client
    this.launcher = make('button', { className: 'launcher', type: 'button' })
    this.launcher.addEventListener('click', () => {
      this.show(true)
      this.tabs[0].focus()
    })
    this.state = make('span', { className: 'state' })
    this.views = { Documents: new DocumentView(client), Log: new LogView(client) }
    this.tabs = ['Log', 'Documents'].map(name => {
      let tab = make('button', { type: 'button' }, name)
      tab.addEventListener('click', () => this.choose(name))
      return tab
    })
    let close = make('button', { 'aria-label': 'Close', type: 'button' }, '✕')
    close.addEventListener('click', () => this.show(false))
    let list = make('span', { 'aria-label': 'Views', role: 'group' }, ...this.tabs)
    let id = make('span', { className: 'id', title: 'The node id' }, client.nodeId)
    let header = make('header', {}, make('b', {}, 'Logux'), list, this.state, id, close)
    let views = Object.values(this.views).map(({ element }) => element)
    this.element = make(
      'section',
      { 'aria-label': 'Logux for developers', className: 'panel' },
      header,
      ...views
    )
    this.element.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape') this.show(false)
    })
    this.choose('Log')
  }

  choose(name) {
    this.chosen = this.views[name]
    for (let tab of this.tabs) {
      tab.setAttribute('aria-pressed', String(tab.textContent === name))
    }
    for (let view of Object.values(this.views)) view.element.hidden = view !== this.chosen
    this.update()
  }

  show(isOpen) {
    this.isOpen = isOpen
    this.element.hidden = !isOpen
    this.launcher.hidden = isOpen
    this.update()
  }

  update() {
    let { client } = this
    if (client.isClosed) {
      this.state.textContent = this.launcher.textContent = 'closed'
      return
    }
    let { connected, state, unsaved } = client
    let text = unsaved > 0 ? `${state}, ${count(unsaved, 'action')} to confirm` : state
    if (!client.isLeader) text += ', follows another tab'
    this.state.textContent = text
    this.state.className = `state is-${connected && unsaved === 0 ? 'online' : 'busy'}`
    let short = make('span', { className: this.state.className }, 'Logux')
    if (this.launcher.textContent !== 'Logux' || this.launcher.dataset.text !== text) {
      this.launcher.dataset.text = text
      this.launcher.setAttribute('aria-label', `Logux for developers: ${text}`)
      this.launcher.replaceChildren(short)
    }
    if (this.isOpen) this.chosen.update()
  }
}
