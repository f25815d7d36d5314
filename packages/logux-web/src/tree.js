// A tree in a document. See `Tree` in `index.d.ts`.

import { below } from './path.js'

export class LoguxTree {
  #ask

  constructor(document, ask, path) {
    this.document = document
    this.#ask = ask
    this.path = path
  }

  get() {
    return this.document.get(this.path) ?? []
  }

  children(parent) {
    return this.#ask({ children: { channel: this.document.channel, parent, path: this.path } })
  }

  create(value, { parent, index } = {}) {
    let answer = this.#edit({ op: 'createNode', at: index, parent, value })
    return Object.assign(answer, { node: this.children(parent).at(index ?? -1).id })
  }

  move(node, { parent, index } = {}) {
    return this.#edit({ op: 'moveNode', at: index, node, parent })
  }

  set(node, value) {
    return this.document.set(this.pathOf(node), value)
  }

  remove(node) {
    return this.document.delete(this.pathOf(node))
  }

  pathOf(node, ...keys) {
    return below(this.path, [node, ...keys])
  }

  #edit(op) {
    return this.document.edit({ ...op, path: this.path })
  }
}
