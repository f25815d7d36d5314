// Elements of pages: strings and elements, never HTML.

/** Returns an element with its properties or attributes, and its children. */
export function make(tag, properties = {}, ...children) {
  let element = document.createElement(tag)
  for (let [name, value] of Object.entries(properties)) {
    if (name in element && !name.includes('-')) element[name] = value
    else element.setAttribute(name, value)
  }
  element.append(...children)
  return element
}

/** Returns a time of the day, with milliseconds. */
export function clock(ms) {
  let date = new Date(ms)
  let two = number => String(number).padStart(2, '0')
  let parts = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two)
  return `${parts.join(':')}.${String(date.getMilliseconds()).padStart(3, '0')}`
}

export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** Returns a value as short text. */
export function brief(value, length = 60) {
  let text = value === undefined ? 'nothing' : JSON.stringify(value)
  return text.length > length ? `${text.slice(0, length)}…` : text
}
