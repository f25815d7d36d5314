// What TypeScript accepts as an official client. `run` checks it.

import type { Client, CrossTabClient } from '../../../tests/interop/node_modules/@logux/client/index.js'
import { documents } from 'logux-web/official'

export async function open(client: Client | CrossTabClient) {
  let docs = await documents(client)
  return docs.document('notes', '7').text('body').get().length
}
