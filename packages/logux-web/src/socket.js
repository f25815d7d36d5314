// The connection of a client to its server: a WebSocket.

export class Socket {
  #client
  #options
  #socket

  constructor(client, options) {
    this.#client = client
    this.#options = options
  }

  /** Begins an attempt. */
  connect() {
    let { server, WebSocket = globalThis.WebSocket } = this.#options
    let socket
    try {
      socket = new WebSocket(server)
    } catch (error) {
      // The address is wrong, or the policy of the page forbids it.
      this.#client.report(error)
      return this.#client.ask('connectFailed')
    }
    this.#socket = socket
    let isOpen = false
    let isCurrent = () => this.#socket === socket && !this.#client.isClosed
    socket.onopen = () => {
      isOpen = true
      if (isCurrent()) this.#client.ask('opened')
    }
    socket.onmessage = ({ data }) => {
      if (isCurrent()) this.#client.ask({ frame: { frame: data } })
    }
    socket.onclose = () => {
      if (!isCurrent()) return
      this.#socket = undefined
      this.#client.ask(isOpen ? 'closed' : 'connectFailed')
    }
    // `onclose` follows.
    socket.onerror = () => {}
  }

  send(frame) {
    this.#socket?.send(frame)
  }

  /** Ends the connection, or the attempt. Returns whether there was one. */
  disconnect() {
    let socket = this.#socket
    this.#socket = undefined
    socket?.close()
    return socket !== undefined
  }
}
