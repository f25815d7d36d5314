// People who type, with clients of logux-web in Node.js.

import { WebSocket } from 'ws'

import { open } from '../../src/index.js'

let options = (server, userId) => ({ server, userId, WebSocket })

/** Writes the text with which the room begins. */
export async function prepare({ room, server, text }) {
  let client = await open(options(server, 'first'))
  await client.document('notes', room).text('text').set(text)
  await client.close()
}

/** Adds a person, who types at a place. */
export async function join({ place, room, server, user }) {
  let client = await open(options(server, user))
  let note = client.document('notes', room)
  await note.loading
  let text = note.text('text')
  let anchor = text.anchor(place)
  return {
    text: () => text.get(),
    type(letter) {
      let index = text.indexOf(anchor)
      text.insert(index, letter)
      anchor = text.anchor(index + letter.length)
    }
  }
}
