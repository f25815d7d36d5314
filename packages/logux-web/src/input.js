// A text of a document in a `<textarea>` or `<input>`.

import { applyChanges, difference, mapPosition, rebase } from './changes.js'
import { enter } from './presence.js'

/** Lets an element show a text and change it. Returns what ends that. See `input.d.ts`. */
export function bindInput(element, text, { undo = true } = {}) {
  let input = new BoundInput(element, text, undo)
  return () => input.end()
}

let EVENTS = ['beforeinput', 'compositionend', 'compositionstart', 'focus', 'input', 'keydown']

class BoundInput {
  /** The text of which the element shows the value. */
  shown = ''
  /** What others have changed while the user composes: each after the one before it. */
  hidden = []
  isComposing = false

  constructor(element, text, hasUndo) {
    this.element = element
    this.document = text.document
    // A handle of its own, which hears of the changes of all others.
    this.text = this.document.text(text.path)
    this.hasUndo = hasUndo
    this.wasReadOnly = element.readOnly
    for (let event of EVENTS) element.addEventListener(event, this)
    this.ends = [
      this.text.listen(changes => this.receive(changes)),
      this.document.watch(() => this.showAccess()),
      enter(this.document)
    ]
    this.showAccess()
    this.showText()
  }

  showAccess() {
    let mayEdit = this.document.isOpen && this.document.may('edit')
    this.element.readOnly = this.wasReadOnly || !mayEdit
  }

  end() {
    for (let event of EVENTS) this.element.removeEventListener(event, this)
    if (this.document.isOpen) for (let end of this.ends) end()
    this.element.readOnly = this.wasReadOnly
  }

  handleEvent(event) {
    if (event.type === 'keydown') this.handleKey(event)
    // What was edited elsewhere is a step of its own.
    else if (event.type === 'focus') this.document.isOpen && this.document.closeStep()
    else if (event.type === 'beforeinput') this.handleBefore(event)
    else if (event.type === 'compositionstart') this.isComposing = true
    else this.handleInput(event)
  }

  handleKey(event) {
    let { altKey, ctrlKey, isComposing, key, metaKey, shiftKey } = event
    if (!this.hasUndo || isComposing || altKey || !(ctrlKey || metaKey)) return
    let method = { y: 'redo', z: shiftKey ? 'redo' : 'undo' }[key.toLowerCase()]
    if (!method) return
    event.preventDefault()
    this.revert(method)
  }

  handleBefore(event) {
    let method = { historyRedo: 'redo', historyUndo: 'undo' }[event.inputType]
    if (this.hasUndo && method) {
      event.preventDefault()
      this.revert(method)
    } else {
      this.selected = this.save()
    }
  }

  handleInput({ type, inputType = '' }) {
    if (type === 'compositionend') this.isComposing = false
    let isOwnStep = /^(insertFrom|deleteBy)/.test(inputType)
    if (isOwnStep) this.document.closeStep()
    this.send()
    if (isOwnStep) this.document.closeStep()
    if (!this.isComposing) this.show()
  }

  /** Changes the text as the user has changed the value. */
  send() {
    let { selectionEnd, value } = this.element
    let change = difference(normalize(this.element, this.shown), value, selectionEnd ?? undefined)
    if (!change) return
    try {
      // Everything that the text has already comes before the edit.
      this.text.tell()
      let { from, insert, to } = change
      change = { from: this.toText(from), insert, to: this.toText(to) }
      let changes = [change]
      this.hidden = this.hidden.map(others => {
        let rebased = rebase(others, changes, true)
        changes = rebase(changes, others)
        return rebased
      })
      this.document.select(this.selected ?? null)
      this.text.edit(changes)
      // The steps of edits elsewhere in the document have no selection here.
      this.document.select(null)
      this.shown = applyChanges(this.shown, [change])
    } catch (error) {
      this.showText()
      throw error
    } finally {
      this.selected = undefined
    }
  }

  receive(changes) {
    this.hidden.push(changes)
    if (this.isComposing) return
    // What the user has typed comes first: the browser may not have told of it yet.
    this.send()
    this.show()
  }

  /** Lets the element show what others have changed. */
  show() {
    for (let changes of this.hidden.splice(0)) {
      let { element, shown } = this
      let { selectionDirection, selectionEnd, selectionStart } = element
      let isPlain = normalize(element, shown) === shown && selectionStart !== null
      let places = [selectionStart, selectionEnd].map(at => {
        return at === null ? at : mapPosition(changes, this.toText(at))
      })
      this.shown = applyChanges(shown, changes)
      if (isPlain && normalize(element, this.shown) === this.shown) {
        for (let { from, insert, to } of [...changes].reverse()) {
          element.setRangeText(insert, from, to, 'preserve')
        }
      } else {
        element.value = this.shown
      }
      let [start, end] = places.map(at => this.toValue(at))
      if (start !== null) element.setSelectionRange(start, end, selectionDirection)
    }
  }

  /** Lets the element show the text, whatever it shows now. */
  showText() {
    this.hidden = []
    this.shown = this.text.get()
    if (this.element.value !== normalize(this.element, this.shown)) this.element.value = this.shown
  }

  /** Undoes or redoes a step. */
  revert(method) {
    let last
    let end = this.text.listen(changes => {
      last = mapPosition(changes, changes.at(-1).to, 1)
    })
    this.document.select(this.save())
    let saved = this.document[method]()
    this.document.select(null)
    end()
    let places = [last, last]
    if (saved?.text === this.text.path) {
      let [anchor, head = anchor] = saved.ranges?.[saved.main ?? 0] ?? []
      let indexes = [anchor, head].map(it => this.text.indexOf(it))
      if (!indexes.includes(undefined)) places = indexes
    }
    if (places[0] === undefined || this.element.selectionStart === null) return
    let [anchor, head] = places.map(at => this.toValue(at))
    let direction = anchor > head ? 'backward' : 'forward'
    this.element.setSelectionRange(Math.min(anchor, head), Math.max(anchor, head), direction)
  }

  /** Returns the selection as JSON that stays at its letters. `null`: no text, or no selection. */
  save() {
    let { selectionDirection, selectionEnd, selectionStart } = this.element
    if (selectionStart === null) return null
    let places = [selectionStart, selectionEnd]
    if (selectionDirection === 'backward') places.reverse()
    if (selectionStart === selectionEnd) places.pop()
    try {
      let anchors = places.map(at => {
        let index = this.toText(at)
        for (let changes of this.hidden) index = mapPosition(changes, index)
        return this.text.anchor(index)
      })
      return { main: 0, ranges: [anchors], text: this.text.path }
    } catch {
      return null
    }
  }

  /** Returns the index in the text of an index in the value. O(n) if these differ. */
  toText(at) {
    let { element, shown } = this
    if (at === null || normalize(element, shown) === shown) return at
    let index = 0
    for (let value = 0; index < shown.length; ) {
      let part = shown.startsWith('\r\n', index) ? '\r\n' : shown[index]
      value += normalize(element, part).length
      if (value > at) break
      index += part.length
    }
    return index
  }

  toValue(index) {
    if (index === null || index === undefined) return null
    return normalize(this.element, this.shown.slice(0, index)).length
  }
}

/** Returns a text as an element shows it: `<input>` has no line breaks. */
function normalize(element, text) {
  if (!/[\r\n]/.test(text)) return text
  return text.replace(/\r\n?|\n/g, element.localName === 'textarea' ? '\n' : '')
}
