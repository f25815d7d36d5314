// People who type into one text: a process of its own. The argument is the name of their library.

import { randomNumbers } from '../test/random.js'
import { randomLetter } from './random.js'

let library = await import(`./adapters/people-${process.argv[2]}.js`)
let people = []
let timers = []

let commands = {
  /** Makes the room. Returns the bytes that pages begin with, if the server has none. */
  async prepare(options) {
    let base = await library.prepare(options)
    return base && Buffer.from(base).toString('base64')
  },
  /** People join one after the other. */
  async join({ base, places, ...options }) {
    base = base && new Uint8Array(Buffer.from(base, 'base64'))
    for (let [index, place] of places.entries()) {
      people.push(await library.join({ ...options, base, place, user: `person${index}` }))
    }
  },
  /** Each person presses a key in each interval, all at moments of their own. */
  type({ interval }) {
    for (let [index, person] of people.entries()) {
      let random = randomNumbers(index + 1)
      let begin = () => {
        timers.push(setInterval(() => person.type(randomLetter(random)), interval))
      }
      setTimeout(begin, (index * interval) / people.length)
    }
  },
  stop() {
    for (let timer of timers) clearInterval(timer)
  },
  text: () => people.map(person => person.text())
}

process.on('message', async ({ command, options }) => {
  process.send({ value: await commands[command](options) })
})
process.on('disconnect', () => process.exit())
