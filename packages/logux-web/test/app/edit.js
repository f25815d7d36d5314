// Edits of a client, for all runtimes.

/**
 * Opens a client by `open`, and edits a document. Returns what it shows when the server has it.
 * `module` is the address of the WebAssembly module, if the package does not know it.
 */
export async function edit(open, { module, server, userId, value, WebSocket }) {
  let client = await open({ server, userId, wasm: module && fetch(module), WebSocket })
  let note = client.document('notes', '1')
  await note.set(userId, value)
  let shown = note.get(userId)
  await client.close()
  return shown
}

/** Edits for pages, in workers of all kinds. A page sends the options and a port for the result. */
export function editForPages(open) {
  let answer = async ({ data, ports: [port] }) => {
    try {
      port.postMessage({ shown: await edit(open, data) })
    } catch (error) {
      port.postMessage({ error: String(error) })
    }
  }
  addEventListener('message', answer)
  // A page has connected to a shared worker.
  addEventListener('connect', ({ ports: [port] }) => {
    port.onmessage = answer
  })
}
