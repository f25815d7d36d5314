// Elements of the page.

export { clock, count, make } from '../src/devtools/elements.js'

export let find = id => document.getElementById(id)

/** The icons, as paths in a square of 16. */
const ICONS = {
  left: 'M10 3 5 8l5 5',
  redo: 'M11 2.5 14 5.5l-3 3M14 5.5H6a4 4 0 0 0 0 8h3',
  remove: 'M4 4l8 8M12 4l-8 8',
  right: 'M6 3l5 5-5 5',
  undo: 'M5 2.5 2 5.5l3 3M2 5.5h8a4 4 0 0 1 0 8H7'
}

export function icon(name) {
  let svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  let path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
  svg.setAttribute('viewBox', '0 0 16 16')
  svg.setAttribute('aria-hidden', 'true')
  path.setAttribute('d', ICONS[name])
  svg.append(path)
  return svg
}

/** Tells the users of screen readers what has happened. */
export function tell(news) {
  find('news').textContent = news
}

/** Returns a function that calls another one once for all calls until the next frame. */
export function eachFrame(call) {
  let isWaiting = false
  return () => {
    if (isWaiting) return
    isWaiting = true
    // Without frames, as in a tab in the background, a timer does.
    let timer = setTimeout(run, 200)
    let frame = requestAnimationFrame(run)
    function run() {
      clearTimeout(timer)
      cancelAnimationFrame(frame)
      isWaiting = false
      call()
    }
  }
}
