// The things to try, each of which is ticked off when it was done.

/** Returns what follows the people, and ticks off what they have done. */
export function createSteps(people) {
  let elements = [...document.querySelectorAll('[data-step]')]
  let done = new Set()
  let first
  let wasOffline = false

  let show = () => {
    let next = elements.find(({ dataset }) => !done.has(dataset.step))
    for (let element of elements) {
      element.classList.toggle('done', done.has(element.dataset.step))
      if (element === next) element.setAttribute('aria-current', 'step')
      else element.removeAttribute('aria-current')
    }
  }
  let tick = step => {
    if (done.has(step)) return
    done.add(step)
    show()
  }
  show()

  return {
    done(command) {
      if (command === 'undo') tick('undo')
    },
    /** Looks at what the logs have now. */
    update(entries) {
      let isEverywhere = ({ at }) => people.every(({ id }) => at[id])
      let isMissing = person => entries.some(({ at }) => at[person.id] && !isEverywhere({ at }))
      first ??= new Set(entries.map(({ id }) => id))
      if (entries.some(entry => !first.has(entry.id) && isEverywhere(entry))) tick('type')
      let isOffline = people.some(({ network }) => !network.isOnline)
      if (isOffline && people.every(isMissing)) {
        wasOffline = true
        tick('offline')
      }
      if (wasOffline && !isOffline && entries.every(isEverywhere)) tick('online')
      if (entries.some(({ action, id }) => action.type === 'logux/undo' && !first.has(id))) {
        tick('undo')
      }
    }
  }
}
