// The board: one list of cards, each of which has a lane. A move changes both in one action.

import { updatePresence } from '../src/presence.js'
import { count, eachFrame, icon, make, tell } from './dom.js'
import { authorOf, LANES } from './people.js'

let laneOf = ({ lane }) => Math.max(0, LANES.findIndex(({ id }) => id === lane))

/** Shows the board of one person in an element. */
export function createBoard(parent, { name, note }) {
  let board = new Board(parent, name, note)
  note.subscribe(eachFrame(() => board.render()))
}

class Board {
  /** The elements of cards by id. */
  #cards = new Map()
  #shown

  constructor(parent, name, note) {
    this.parent = parent
    this.name = name
    this.note = note
    this.lanes = LANES.map((lane, index) => this.#makeLane(lane, index))
    parent.append(...this.lanes.map(({ section }) => section))
  }

  get cards() {
    return (this.note.get('cards') ?? []).filter(card => typeof card?.id === 'string')
  }

  render() {
    if (!this.note.isOpen) return
    let { cards, note } = this
    let others = Object.entries(note.others ?? {})
    let holders = new Map()
    for (let [node, state] of others) holders.set(state?.card, authorOf(node))
    let shown = JSON.stringify([cards, [...holders]])
    if (shown === this.#shown) return
    this.#shown = shown

    let before = places(this.#cards)
    let focused = document.activeElement
    for (let [id, element] of this.#cards) {
      if (cards.some(card => card.id === id)) continue
      element.remove()
      this.#cards.delete(id)
    }
    for (let [lane, { list, number }] of this.lanes.entries()) {
      let own = cards.filter(card => laneOf(card) === lane)
      number.textContent = String(own.length)
      number.setAttribute('aria-label', count(own.length, 'card'))
      for (let [index, card] of own.entries()) {
        let element = this.#update(card, lane, holders.get(card.id))
        let place = list.children[index]
        if (place !== element) list.insertBefore(element, place ?? null)
      }
    }
    // An element that is moved loses the focus.
    if (focused !== document.activeElement && this.parent.contains(focused)) focused.focus()
    animate(before)
  }

  #makeLane({ title }, index) {
    let list = make('ul', { 'aria-label': title })
    let number = make('span', { className: 'number' })
    let section = make('div', { className: 'lane' }, make('h3', {}, title, number), list)
    if (index === 0) section.append(this.#makeForm())
    section.addEventListener('dragover', event => {
      if (!this.dragged) return
      event.preventDefault()
      section.classList.add('over')
    })
    section.addEventListener('dragleave', event => {
      if (!section.contains(event.relatedTarget)) section.classList.remove('over')
    })
    section.addEventListener('drop', event => {
      event.preventDefault()
      section.classList.remove('over')
      if (this.dragged) this.move(this.dragged, index, placeAt(list, event.clientY, this.dragged))
    })
    return { list, number, section }
  }

  #makeForm() {
    let input = make('input', { 'aria-label': 'New card', maxLength: 80, placeholder: 'New card' })
    let form = make('form', {}, input)
    form.addEventListener('submit', event => {
      event.preventDefault()
      let title = input.value.trim()
      if (!title) return
      let id = crypto.randomUUID().slice(0, 8)
      this.note.list('cards').push({ id, lane: LANES[0].id, title })
      input.value = ''
    })
    return form
  }

  /** Returns the element of a card as it is now. */
  #update({ id, title }, lane, holder) {
    let element = this.#cards.get(id) ?? this.#makeCard(id)
    this.#cards.set(id, element)
    let label = `${title}, ${LANES[lane].title}`
    element.card.textContent = title
    element.card.setAttribute('aria-label', holder ? `${label}, ${holder.name} is here` : label)
    element.classList.remove('held-ada', 'held-bob', 'held-other')
    if (holder) element.classList.add(`held-${holder.id}`)
    element.dataset.holder = holder?.name ?? ''
    element.left.disabled = lane === 0
    element.right.disabled = lane === LANES.length - 1
    return element
  }

  #makeCard(id) {
    let card = make('button', { 'aria-describedby': 'keys', type: 'button' })
    card.className = 'card-title'
    let tool = (name, label, call) => {
      let button = make('button', { 'aria-label': label, type: 'button' }, icon(name))
      // The keys of the card do the same.
      Object.assign(button, { tabIndex: -1, title: label })
      button.addEventListener('click', call)
      return button
    }
    let left = tool('left', 'Move to the lane before', () => this.#step(id, -1, 0))
    let right = tool('right', 'Move to the next lane', () => this.#step(id, 1, 0))
    let remove = tool('remove', 'Remove the card', () => this.remove(id))
    let tools = make('span', { className: 'card-tools' }, left, right, remove)
    let element = make('li', { draggable: true }, card, tools)
    element.addEventListener('keydown', event => this.#handleKey(event, id))
    element.addEventListener('focusin', () => updatePresence(this.note, { card: id }))
    element.addEventListener('focusout', () => updatePresence(this.note, { card: undefined }))
    element.addEventListener('dragstart', event => {
      this.dragged = id
      event.dataTransfer.effectAllowed = 'move'
      event.dataTransfer.setData('text/plain', card.textContent)
      element.classList.add('dragged')
      updatePresence(this.note, { card: id })
    })
    element.addEventListener('dragend', () => {
      this.dragged = undefined
      element.classList.remove('dragged')
      updatePresence(this.note, { card: undefined })
    })
    return Object.assign(element, { card, left, right })
  }

  #handleKey(event, id) {
    let steps = { ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1] }
    let step = steps[event.key]
    if (event.altKey || event.ctrlKey || event.metaKey) return
    if (step) this.#step(id, ...step)
    else if (event.key === 'Delete' || event.key === 'Backspace') this.remove(id)
    else return
    event.preventDefault()
  }

  /** Moves a card by a number of lanes, or of places in its lane. */
  #step(id, lanes, places) {
    let { cards } = this
    let card = cards.find(it => it.id === id)
    if (!card) return
    let lane = laneOf(card)
    let place = cards.filter(it => laneOf(it) === lane).indexOf(card)
    if (lanes !== 0) this.move(id, lane + lanes, Infinity)
    else if (place + places >= 0) this.move(id, lane, place + places)
  }

  /** Moves a card to a place in a lane. */
  move(id, lane, place) {
    if (!LANES[lane]) return
    let { cards } = this
    let from = cards.findIndex(card => card.id === id)
    if (from < 0) return
    let others = cards.filter(card => card.id !== id)
    let inLane = others.filter(card => laneOf(card) === lane)
    let before = inLane[place]
    let last = inLane.at(-1)
    let to = before ? others.indexOf(before) : last ? others.indexOf(last) + 1 : others.length
    let ops = []
    let isOther = laneOf(cards[from]) !== lane
    if (isOther) ops.push({ op: 'set', path: `/cards/${from}/lane`, value: LANES[lane].id })
    if (to !== from) ops.push({ from, op: 'move', path: '/cards', to })
    if (ops.length === 0) return
    this.note.closeStep()
    this.note.edit(...ops)
    this.note.closeStep()
    if (isOther) tell(`${cards[from].title}: ${LANES[lane].title}`)
  }

  remove(id) {
    let at = this.cards.findIndex(card => card.id === id)
    if (at < 0) return
    let lane = this.lanes[laneOf(this.cards[at])]
    this.note.closeStep()
    this.note.list('cards').remove(at)
    this.note.closeStep()
    let next = lane.list.querySelector('.card-title') ?? this.parent.querySelector('input')
    next.focus()
  }
}

/** Returns the place in a list at a height of the page, without the card that is dragged. */
function placeAt(list, y, dragged) {
  let others = [...list.children].filter(it => !it.classList.contains('dragged') || !dragged)
  let place = others.findIndex(it => {
    let { height, top } = it.getBoundingClientRect()
    return y < top + height / 2
  })
  return place < 0 ? Infinity : place
}

function places(cards) {
  return new Map([...cards.values()].map(it => [it, it.getBoundingClientRect()]))
}

/** Moves cards from where they were. */
function animate(before) {
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) return
  for (let [element, from] of before) {
    if (!element.isConnected || from.width === 0) continue
    let to = element.getBoundingClientRect()
    let [x, y] = [from.left - to.left, from.top - to.top]
    if (Math.abs(x) + Math.abs(y) < 2 || Math.abs(y) > 600) continue
    let moves = [{ transform: `translate(${x}px, ${y}px)` }, { transform: 'none' }]
    element.animate(moves, { duration: 220, easing: 'ease-out' })
  }
}
