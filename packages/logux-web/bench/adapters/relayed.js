// A WebSocket for updates: bytes, which a relay passes on.

/** Connects. `receive` is called with the bytes of each message. Resolves with what sends some. */
export async function connect(url, receive, WebSocket = globalThis.WebSocket) {
  let socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  socket.onmessage = ({ data }) => receive(new Uint8Array(data))
  await new Promise(resolve => (socket.onopen = resolve))
  return bytes => socket.send(bytes)
}

export async function fetchBytes(url) {
  return new Uint8Array(await (await fetch(url)).arrayBuffer())
}
