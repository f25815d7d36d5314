// People who type, with Yjs and y-websocket in Node.js.

import { WebSocket } from 'ws'
import { WebsocketProvider } from 'y-websocket'
import {
  createAbsolutePositionFromRelativePosition as positionOf,
  createRelativePositionFromTypeIndex as anchorAt,
  Doc
} from 'yjs'

async function open({ room, server }) {
  let doc = new Doc()
  let options = { disableBc: true, WebSocketPolyfill: WebSocket }
  let provider = new WebsocketProvider(server, room, doc, options)
  await new Promise(resolve => provider.once('sync', resolve))
  return { doc, provider, text: doc.getText('text') }
}

export async function prepare({ room, server, text: first }) {
  let { text } = await open({ room, server })
  // It stays open: the server forgets a room without people.
  text.insert(0, first)
}

export async function join({ place, room, server }) {
  let { doc, text } = await open({ room, server })
  let anchor = anchorAt(text, place)
  return {
    text: () => text.toString(),
    type(letter) {
      let { index } = positionOf(anchor, doc)
      text.insert(index, letter)
      anchor = anchorAt(text, index + letter.length)
    }
  }
}
