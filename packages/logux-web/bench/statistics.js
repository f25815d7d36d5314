// Medians, spreads, and tables of Markdown.

let sorted = values => [...values].sort((a, b) => a - b)

/** Returns the value below which a part of the values is, such as 0.95. */
export function percentile(values, part) {
  return sorted(values)[Math.max(0, Math.ceil(values.length * part) - 1)]
}

export let median = values => percentile(values, 0.5)

/** Writes a number with the digits that a reader needs. */
export function number(value) {
  if (value >= 100) return Math.round(value).toLocaleString('en')
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** Writes the median of some values, and in parentheses the smallest and the largest. */
export function spread(values) {
  if (values.length === 0 || values.some(it => it === undefined)) return ''
  let [least, most] = [Math.min(...values), Math.max(...values)]
  return `${number(median(values))} (${number(least)}–${number(most)})`
}

/** Prints a table. The first row is the head; all columns but the first are numbers. */
export function printTable(rows) {
  let [head, ...body] = rows
  let line = cells => console.log(`| ${cells.join(' | ')} |`)
  line(head)
  line(head.map((_, index) => (index === 0 ? '---' : '---:')))
  body.forEach(line)
  console.log()
}
