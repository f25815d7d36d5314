// When something is on the screen.

/** Resolves with the time after the next frame. */
export function painted() {
  return new Promise(resolve => {
    requestAnimationFrame(() => {
      let { port1, port2 } = new MessageChannel()
      port1.onmessage = () => resolve(performance.now())
      port2.postMessage(undefined)
    })
  })
}
