// The text of the document, in an editor of one person.

import { defaultKeymap } from '@codemirror/commands'
import { StateEffect, StateField } from '@codemirror/state'
import { Decoration, EditorView, hoverTooltip, keymap, placeholder } from '@codemirror/view'

import { collaboration } from '../src/codemirror.js'
import { clock, make } from './dom.js'
import { authorOf } from './people.js'

/** Shows an editor in an element. Returns it. */
export function createEditor(parent, { color, name, note }) {
  let text = note.text('text')
  // In a shadow root, the styles of the editor need no inline styles, which the page forbids.
  let root = parent.attachShadow({ mode: 'open' })
  return new EditorView({
    doc: text.get(),
    extensions: [
      collaboration(text, { user: { color, name } }),
      authorship(text),
      keymap.of(defaultKeymap),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({
        'aria-label': `Text, as ${name}`,
        spellcheck: 'false',
        tabindex: '0'
      }),
      placeholder('Write something'),
      theme
    ],
    parent: root,
    root
  })
}

let setShown = StateEffect.define()

/** Shows in an editor who wrote what, or hides it. */
export function showAuthors(view, isShown) {
  view.dispatch({ effects: setShown.of(isShown) })
}

/** Returns the parts of a text: `[{ from, to, author, time }]`, those of one person joined. */
function partsOf(text) {
  let parts = []
  for (let { author, from, time, to } of text.authors()) {
    let last = parts.at(-1)
    let person = authorOf(author)
    if (last?.person.id === person.id && last.to === from) {
      last.to = to
      last.time = Math.max(last.time, time)
    } else {
      parts.push({ from, person, time, to })
    }
  }
  return parts
}

function authorship(text) {
  let colored = length => {
    let parts = partsOf(text).filter(({ to }) => to <= length)
    let mark = ({ from, person, to }) => {
      return Decoration.mark({ class: `author-${person.id}` }).range(from, to)
    }
    return Decoration.set(parts.map(mark))
  }
  let isShown = StateField.define({
    create: () => false,
    update(value, { effects }) {
      return effects.findLast(effect => effect.is(setShown))?.value ?? value
    }
  })
  // A plugin after that of the text, which then has what the editor has.
  let colors = EditorView.decorations.of(view => {
    return view.state.field(isShown) ? colored(view.state.doc.length) : Decoration.none
  })
  let tooltip = hoverTooltip(
    (view, position, side) => {
      let at = side < 0 ? position - 1 : position
      let part = partsOf(text).find(({ from, to }) => from <= at && at < to)
      if (!part) return null
      let { from, person, time, to } = part
      let dom = make('div', { className: `by by-${person.id}` }, `${person.name}, `)
      // Times of letters are kept to the minute.
      dom.append(clock(time).slice(0, 5))
      return { above: true, create: () => ({ dom }), end: to, pos: Math.max(from, at) }
    },
    { hoverTime: 150 }
  )
  return [isShown, colors, tooltip]
}

let theme = EditorView.theme({
  '&': { backgroundColor: 'transparent', color: 'var(--text)', height: '100%' },
  '&.cm-focused': { outline: 'none' },
  '.author-ada': { backgroundColor: 'var(--ada-soft)', borderRadius: '3px' },
  '.author-bob': { backgroundColor: 'var(--bob-soft)', borderRadius: '3px' },
  '.author-other': { backgroundColor: 'var(--line)', borderRadius: '3px' },
  '.by': { borderRadius: '4px', color: '#fff', font: '600 12px/1.5 system-ui', padding: '1px 8px' },
  '.by-ada': { backgroundColor: '#0e7490' },
  '.by-bob': { backgroundColor: '#c2410c' },
  '.by-other': { backgroundColor: '#64748b' },
  '.cm-content': { caretColor: 'var(--text)', padding: '10px 0 14px' },
  '.cm-line': { padding: '0 14px' },
  '.cm-placeholder': { color: 'var(--soft)' },
  '.cm-scroller': { fontFamily: 'inherit', lineHeight: '1.6', overflow: 'auto' },
  '.cm-tooltip': { backgroundColor: 'transparent', border: 'none' }
})
