// People whose application has `@logux/client` and documents of this package.

import { Device } from '../../../tests/interop/helper/device.js'
import { Client } from '../../../tests/interop/node_modules/@logux/client/index.js'
import { documents } from '../src/official.js'

/** An official client whose client id stays, as in a browser, where it is in `localStorage`. */
export class KnownClient extends Client {
  getClientId() {
    return 'device'
  }
}

/** Returns the officials of a server. `end` closes all of them. */
export function officials(server) {
  let devices = []
  return {
    /** Starts a device. It is connected unless it is `isOffline`. */
    device(userId, { isOffline = false, ...options } = {}) {
      let device = new Device(server, userId, { Class: KnownClient, ...options })
      devices.push(device)
      if (!isOffline) device.client.start()
      return device
    },
    /** Starts a device, and opens its documents. `end` closes both. */
    async open(userId, options) {
      let device = this.device(userId, options)
      let docs = await documents(device.client)
      let end = async () => {
        await docs.close()
        device.destroy()
      }
      return { client: device.client, device, docs, end }
    },
    end() {
      for (let device of devices) device.destroy()
    }
  }
}

/** Returns the entries in the log of an official client, oldest first, by their types. */
export async function logged(client, type) {
  let found = []
  await client.log.each({ order: 'added' }, (action, meta) => {
    if (type === undefined || action.type === type) found.unshift([action, meta])
  })
  return found
}
