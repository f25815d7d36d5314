// People who type, with Loro and a relay, in Node.js.

import { LoroDoc } from 'loro-crdt'
import { WebSocket } from 'ws'

import { connect } from './relayed.js'

/** Returns the bytes of the document with which the room begins. */
export function prepare({ text }) {
  let doc = new LoroDoc()
  doc.getText('text').insert(0, text)
  doc.commit()
  return doc.export({ mode: 'snapshot' })
}

export async function join({ base, place, room, server }) {
  let doc = new LoroDoc()
  doc.import(base)
  let text = doc.getText('text')
  let send = await connect(`${server}/${room}`, update => doc.import(update), WebSocket)
  doc.subscribeLocalUpdates(send)
  let cursor = text.getCursor(place)
  return {
    text: () => text.toString(),
    type(letter) {
      let { offset } = doc.getCursorPos(cursor)
      text.insert(offset, letter)
      doc.commit()
      cursor = text.getCursor(offset + letter.length)
    }
  }
}
