// The cursors and selections of the others in an editor of CodeMirror 6.

import { EditorSelection, StateEffect, StateField, Transaction } from '@codemirror/state'
import { Direction, EditorView, layer, RectangleMarker, ViewPlugin } from '@codemirror/view'

import { updatePresence } from './presence.js'

/** How often places are read, in milliseconds. The engine sends the own place as often. */
let INTERVAL = 100

/** How long a place that follows what others type is believed, in milliseconds. */
let SETTLED = 600

/** The colours of people who have none: readable on white and black. */
let COLORS = ['#c2410c', '#0e7490', '#7e22ce', '#15803d', '#be185d', '#1d4ed8', '#a16207']

/** Returns the colour that a person has by default. The same for the same id. */
export function colorOf(id) {
  let sum = [...id].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 65521, 0)
  return COLORS[sum % COLORS.length]
}

let setCursors = StateEffect.define()

/** The cursors that are shown: `{ node, name, color, moves, ranges: [[anchor, head]] }`. */
let shownCursors = StateField.define({
  create: () => [],
  update(cursors, transaction) {
    for (let effect of transaction.effects) {
      if (effect.is(setCursors)) cursors = effect.value
    }
    if (!transaction.docChanged || cursors.length === 0) return cursors
    // What others type is most likely at their cursors, whose new places arrive a little later.
    let side = transaction.annotation(Transaction.remote) ? 1 : -1
    let map = position => transaction.changes.mapPos(position, side)
    return cursors.map(cursor => ({ ...cursor, ranges: cursor.ranges.map(it => it.map(map)) }))
  }
})

/** Shows the cursors of the others, and them one's own. */
export function cursors(document, user, bindingOf) {
  return [
    shownCursors,
    ViewPlugin.define(view => new Cursors(view, document, user, bindingOf)),
    selections,
    carets,
    theme
  ]
}

class Cursors {
  /** The number of moves of each node, and what it has shown last. */
  known = new Map()

  constructor(view, document, user, bindingOf) {
    this.view = view
    this.document = document
    this.bindingOf = bindingOf
    this.end = document.watch(() => this.schedule())
    updatePresence(document, { ...user, cursor: undefined })
    this.schedule()
  }

  update(update) {
    let isFocused = update.focusChanged && update.view.hasFocus
    let isMoved = update.docChanged || update.selectionSet
    if (isFocused || (isMoved && update.view.hasFocus)) this.hasMoved = true
    let isRemote = update.transactions.some(it => it.annotation(Transaction.remote))
    if (isRemote) this.guessedAt = Date.now()
    if (this.hasMoved || isRemote) this.schedule()
  }

  destroy() {
    clearTimeout(this.timer)
    this.end()
    this.view = undefined
    if (this.shown && this.document.isOpen) updatePresence(this.document, { cursor: undefined })
  }

  schedule() {
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      let binding = this.bindingOf(this.view)
      if (!binding?.isOpen) return
      if (this.hasMoved) this.showOwn(binding)
      this.showOthers(binding)
    }, INTERVAL)
  }

  showOwn(binding) {
    this.hasMoved = false
    let cursor = binding.save(this.view.state.selection) ?? undefined
    let json = JSON.stringify(cursor)
    if (json === this.shown) return
    this.shown = json
    updatePresence(this.document, { cursor })
  }

  showOthers(binding) {
    let before = new Map(this.view.state.field(shownCursors).map(it => [it.node, it]))
    let isSettled = Date.now() - (this.guessedAt ?? 0) >= SETTLED
    let cursors = []
    for (let [node, state] of Object.entries(this.document.others ?? {})) {
      let cursor = this.cursorOf(node, state, before.get(node), isSettled, binding)
      if (cursor) cursors.push(cursor)
    }
    for (let node of this.known.keys()) {
      if (!cursors.some(cursor => cursor.node === node)) this.known.delete(node)
    }
    // Places that follow what others type are read once more.
    if (!isSettled && cursors.length > 0) this.schedule()
    if (JSON.stringify(cursors) === JSON.stringify([...before.values()])) return
    this.view.dispatch({ effects: setCursors.of(cursors) })
  }

  /** Returns the cursor of a node, or `undefined` if it has none in this text. */
  cursorOf(node, state, before, isSettled, binding) {
    if (typeof state !== 'object' || state === null) return
    let json = JSON.stringify(state.cursor)
    let { moves = 0, json: lastJson } = this.known.get(node) ?? {}
    let hasMoved = json !== lastJson
    // Until it moves, its place is that in the editor, which follows the changes.
    let isKept = before && !hasMoved && !isSettled
    let selection = isKept ? undefined : binding.load(state.cursor)
    if (selection) this.known.set(node, { json, moves: hasMoved ? (moves += 1) : moves })
    else if (!before || state.cursor?.text !== binding.text.path) return
    let ranges = selection?.ranges.map(({ anchor, head }) => [anchor, head]) ?? before.ranges
    let color = validColor(state.color) ?? colorOf(node)
    return { color, moves, name: String(state.name ?? ''), node, ranges }
  }
}

/** Returns a colour, unless it is something else: it comes from others. */
function validColor(color) {
  if (typeof color !== 'string' || color.length > 64) return
  return globalThis.CSS?.supports?.('color', color) === false ? undefined : color
}

/** A rectangle in the colour of its person. */
class Selection {
  constructor(rectangle, color) {
    this.rectangle = rectangle
    this.color = color
  }

  eq(other) {
    return this.color === other.color && this.rectangle.eq(other.rectangle)
  }

  draw() {
    let element = this.rectangle.draw()
    element.style.setProperty('--logux-color', this.color)
    return element
  }

  update(element, before) {
    if (!this.rectangle.update(element, before.rectangle)) return false
    element.style.setProperty('--logux-color', this.color)
    return true
  }
}

/** A caret with the name of its person, which is shown for a while after it has moved. */
class Caret {
  constructor({ color, moves, name }, { height, left, top }, isAtTop, isAtRight) {
    Object.assign(this, { color, height, isAtRight, isAtTop, left, moves, name, top })
  }

  eq(other) {
    return Object.keys(this).every(key => this[key] === other[key])
  }

  draw() {
    let element = document.createElement('div')
    let label = document.createElement('div')
    element.className = 'cm-logux-caret'
    label.className = 'cm-logux-name'
    label.textContent = this.name
    element.append(label)
    this.place(element)
    return element
  }

  /** Moves an element. A caret that its person has moved is a new one, which shows the name. */
  update(element, before) {
    if (this.moves !== before.moves || this.name !== before.name) return false
    this.place(element)
    return true
  }

  place(element) {
    element.classList.toggle('cm-logux-below', this.isAtTop)
    element.classList.toggle('cm-logux-left', this.isAtRight)
    element.style.setProperty('--logux-color', this.color)
    element.style.left = `${this.left}px`
    element.style.top = `${this.top}px`
    element.style.height = `${this.height}px`
  }
}

let isChanged = ({ docChanged, geometryChanged, startState, state, viewportChanged }) => {
  let isMoved = startState.field(shownCursors) !== state.field(shownCursors)
  return docChanged || geometryChanged || viewportChanged || isMoved
}

let selections = layer({
  above: false,
  class: 'cm-logux-selections',
  markers: view =>
    view.state.field(shownCursors).flatMap(({ color, ranges }) =>
      ranges
        .filter(([anchor, head]) => anchor !== head)
        .flatMap(([anchor, head]) => {
          let range = EditorSelection.range(...within(view, anchor, head))
          let rectangles = RectangleMarker.forRange(view, 'cm-logux-selection', range)
          return rectangles.map(rectangle => new Selection(rectangle, color))
        })
    ),
  update: isChanged
})

let carets = layer({
  above: true,
  class: 'cm-logux-carets',
  markers: view =>
    view.state.field(shownCursors).flatMap(cursor =>
      cursor.ranges.flatMap(([, head]) => {
        let [at] = within(view, head)
        let [place] = RectangleMarker.forRange(view, '', EditorSelection.cursor(at))
        if (!place) return []
        let isRightToLeft = view.textDirection === Direction.RTL
        let isAtRight = place.left > view.scrollDOM.clientWidth / 2
        return new Caret(cursor, place, place.top < 20, isAtRight !== isRightToLeft)
      })
    ),
  update: isChanged
})

/** Returns positions that the editor has. */
function within(view, ...positions) {
  return positions.map(position => Math.min(position, view.state.doc.length))
}

let theme = EditorView.baseTheme({
  '.cm-logux-caret': {
    borderLeft: '2px solid var(--logux-color)',
    marginLeft: '-1px',
    pointerEvents: 'none'
  },
  '.cm-logux-caret::before': {
    backgroundColor: 'var(--logux-color)',
    borderRadius: '50%',
    content: '""',
    height: '6px',
    left: '-4px',
    pointerEvents: 'auto',
    position: 'absolute',
    top: '-4px',
    width: '6px'
  },
  '.cm-logux-caret:hover .cm-logux-name': { animation: 'none', opacity: 1 },
  '.cm-logux-left .cm-logux-name': { borderRadius: '4px 4px 0 4px', left: 'auto', right: '-1px' },
  '.cm-logux-below .cm-logux-name': { borderRadius: '0 4px 4px 4px', bottom: 'auto', top: '100%' },
  '.cm-logux-name': {
    animation: 'cm-logux-name 3s forwards',
    backgroundColor: 'var(--logux-color)',
    borderRadius: '4px 4px 4px 0',
    bottom: '100%',
    color: '#fff',
    font: '600 11px/1.5 system-ui, sans-serif',
    left: '-1px',
    opacity: 0,
    padding: '0 5px',
    position: 'absolute',
    whiteSpace: 'nowrap'
  },
  '.cm-logux-selection': { backgroundColor: 'var(--logux-color)', opacity: 0.25 },
  '@keyframes cm-logux-name': { '0%, 80%': { opacity: 1 }, '100%': { opacity: 0 } }
})
