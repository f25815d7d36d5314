// A text of Loro, whose updates a relay passes on.

import { LoroSyncPlugin } from 'loro-codemirror'
import initialize, { LoroDoc } from 'loro-crdt'

import { connect, fetchBytes } from './relayed.js'

let textOf = doc => doc.getText('text')

export async function open(parameters) {
  let [bytes] = await Promise.all([fetchBytes(parameters.get('base')), initialize()])
  let doc = new LoroDoc()
  doc.import(bytes)
  let url = `${parameters.get('server')}/${parameters.get('room')}`
  let send = await connect(url, update => doc.import(update))
  doc.subscribeLocalUpdates(send)
  return { extensions: LoroSyncPlugin(doc, textOf), text: textOf(doc).toString() }
}
