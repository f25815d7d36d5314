// A text of a document in an editor of CodeMirror 6.

import {
  Annotation,
  ChangeSet,
  Compartment,
  EditorSelection,
  EditorState,
  Facet,
  Transaction
} from '@codemirror/state'
import { EditorView, keymap, logException, ViewPlugin } from '@codemirror/view'

import { difference, mapPosition } from './changes.js'
import { cursors } from './codemirror-cursors.js'
import { enter } from './presence.js'

/** Marks the transactions that show what others have changed. */
let fromText = Annotation.define()

/** The text of an editor, and the part of its configuration that depends on it. */
let bound = Facet.define({ combine: values => values[0] })

/** Lets an editor show a text and change it. See `codemirror.d.ts`. */
export function collaboration(text, { presence = text.document, undo = true, user } = {}) {
  let access = new Compartment()
  return [
    bound.of({ access, isPresent: presence !== null, text }),
    access.of([]),
    plugin,
    // Other line breaks are characters as all others, so that positions are those of the text.
    EditorState.lineSeparator.of('\n'),
    EditorView.clipboardInputFilter.of(pasted => pasted.replace(/\r\n?/g, '\n')),
    undo ? [keymap.of(undoKeymap), undoOfBrowser] : [],
    presence && user ? cursors(presence, user, view => view.plugin(plugin)) : []
  ]
}

/** Undoes the latest step of the user in the document, and selects what was selected before it. */
export let undo = view => view.plugin(plugin)?.revert('undo') ?? false

/** Redoes the latest undone step. */
export let redo = view => view.plugin(plugin)?.revert('redo') ?? false

export let undoKeymap = [
  { key: 'Mod-z', preventDefault: true, run: undo },
  { key: 'Mod-y', mac: 'Mod-Shift-z', preventDefault: true, run: redo },
  { linux: 'Ctrl-Shift-z', preventDefault: true, run: redo, win: 'Ctrl-Shift-z' }
]

/** Undo from the menu of the browser, or by a gesture. */
let undoOfBrowser = EditorView.domEventHandlers({
  beforeinput(event, view) {
    let command = { historyRedo: redo, historyUndo: undo }[event.inputType]
    if (!command) return false
    event.preventDefault()
    return command(view)
  }
})

/** The events that are steps of their own. */
let OWN_STEPS = ['delete.cut', 'input.drop', 'input.paste', 'move.drop']

/** The largest number of cursors whose places are kept for undo. */
let MAX_RANGES = 8

class Binding {
  /** What others have changed and the editor does not show yet: each after the one before it. */
  hidden = []
  /** Whether the editor differs from the text by more than `hidden`, until it shows the text. */
  isWrong = false
  /** The length of the text with what the editor shows of it. */
  length
  /** Whether the latest step has an edit. */
  isStepOpen = false

  constructor(view) {
    this.view = view
    let { access, isPresent, text } = view.state.facet(bound)
    this.access = access
    this.length = view.state.doc.length
    this.document = text.document
    // A handle of its own, which hears of the changes of all others.
    this.text = this.document.text(text.path)
    this.ends = [
      this.text.listen(changes => this.receive(changes)),
      this.document.watch(() => queueMicrotask(() => this.showAccess()))
    ]
    if (isPresent) this.ends.push(enter(this.document))
    if (view.state.sliceDoc() !== this.text.get()) this.showText()
    queueMicrotask(() => this.showAccess())
  }

  /** Whether the editor and the document exist: a page may close them in any order. */
  get isOpen() {
    return this.view !== undefined && this.document.isOpen
  }

  update({ focusChanged, transactions, view }) {
    // What was edited elsewhere is a step of its own.
    if (focusChanged && view.hasFocus && this.isOpen) this.closeStep()
    for (let transaction of transactions) {
      if (!transaction.docChanged) {
        // A click or an arrow key ends a step.
        if (this.isStepOpen && transaction.isUserEvent('select')) this.closeStep()
        continue
      }
      let shown = transaction.annotation(fromText)
      if (shown !== undefined) {
        this.hidden = this.hidden.filter(changes => changes !== shown)
        this.length = transaction.newDoc.length
      } else if (!this.isWrong) {
        this.send(transaction, OWN_STEPS.some(event => transaction.isUserEvent(event)))
      }
    }
  }

  destroy() {
    if (this.document.isOpen) for (let end of this.ends) end()
    this.view = undefined
  }

  /** Changes the text as a transaction has changed the editor. */
  send({ changes, newDoc, startState }, isOwnStep) {
    try {
      if (isOwnStep) this.closeStep()
      this.document.select(this.save(startState.selection))
      // Everything that the text has already comes before the edit.
      this.text.tell()
      this.hidden = this.hidden.map(other => {
        let rebased = other.map(changes, true)
        changes = changes.map(other)
        return rebased
      })
      this.length = newDoc.length
      let list = []
      changes.iterChanges((from, to, start, end, insert) => {
        list.push({ from, insert: insert.toString(), to })
      }, true)
      this.text.edit(list)
      // The steps of edits elsewhere in the document have no selection here.
      this.document.select(null)
      this.isStepOpen = true
      if (isOwnStep) this.closeStep()
    } catch (error) {
      logException(this.view.state, error, 'editing a text')
      this.showText()
    }
  }

  receive(changes) {
    if (this.isWrong) return
    let length = this.hidden.at(-1)?.newLength ?? this.length
    this.hidden.push(ChangeSet.of(changes, length, '\n'))
    try {
      this.show()
    } catch {
      // Within an update, an editor accepts nothing.
      queueMicrotask(() => this.show())
    }
  }

  /** Lets the editor show what others have changed. */
  show() {
    for (let left = this.hidden.length; left > 0 && this.hidden.length > 0; left -= 1) {
      if (this.view) this.dispatch(this.hidden[0])
    }
  }

  /** Lets the editor show the text, whatever it shows now, as soon as it accepts changes. */
  showText() {
    if (this.isWrong) return
    this.isWrong = true
    this.hidden = []
    queueMicrotask(() => {
      if (!this.isOpen) return
      this.isWrong = false
      this.length = this.view.state.doc.length
      let change = difference(this.view.state.sliceDoc(), this.text.get())
      if (change) this.dispatch(change)
    })
  }

  dispatch(changes) {
    this.view.dispatch({
      annotations: [
        fromText.of(changes),
        Transaction.remote.of(true),
        Transaction.addToHistory.of(false)
      ],
      changes,
      filter: false
    })
  }

  /** Makes the editor read-only while the user may not edit the document. */
  showAccess() {
    if (!this.isOpen) return
    let isReadOnly = !this.document.may('edit')
    if (isReadOnly === this.isReadOnly) return
    this.isReadOnly = isReadOnly
    let effects = this.access.reconfigure(EditorState.readOnly.of(isReadOnly))
    this.view.dispatch({ effects })
  }

  closeStep() {
    this.isStepOpen = false
    this.document.closeStep()
  }

  /** Undoes or redoes a step. */
  revert(method) {
    let last
    let end = this.text.listen(changes => {
      last = mapPosition(changes, changes.at(-1).to, 1)
    })
    this.document.select(this.save(this.view.state.selection))
    let selection = this.document[method]()
    this.document.select(null)
    end()
    selection = this.load(selection) ?? (last === undefined ? last : EditorSelection.single(last))
    if (selection) {
      this.view.dispatch({ scrollIntoView: true, selection, userEvent: `select.${method}` })
    }
    return true
  }

  /** Returns a selection of the editor as JSON that stays at its letters. `null`: no text. */
  save(selection) {
    let { mainIndex, ranges } = selection
    if (ranges.length > MAX_RANGES) [mainIndex, ranges] = [0, [selection.main]]
    try {
      return {
        main: mainIndex,
        ranges: ranges.map(({ anchor, empty, head }) => {
          return empty ? [this.anchor(head)] : [this.anchor(anchor), this.anchor(head)]
        }),
        text: this.text.path
      }
    } catch {
      return null
    }
  }

  anchor(position) {
    return this.text.anchor(this.hidden.reduce((at, changes) => changes.mapPos(at), position))
  }

  /** Returns a saved selection, if it is one of this text whose letters are known. */
  load(saved) {
    if (saved?.text !== this.text.path || !Array.isArray(saved.ranges)) return
    let { length } = this.view.state.doc
    let ranges = saved.ranges.map(range => {
      let [anchor, head = anchor] = range.map(it => this.text.indexOf(it))
      if (anchor === undefined || head === undefined) return
      return EditorSelection.range(Math.min(anchor, length), Math.min(head, length))
    })
    if (ranges.length > 0 && ranges.every(Boolean)) {
      return EditorSelection.create(ranges, Math.min(saved.main ?? 0, ranges.length - 1))
    }
  }
}

let plugin = ViewPlugin.fromClass(Binding)
