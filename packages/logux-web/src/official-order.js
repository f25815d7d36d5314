// The order in which an official client sends actions of documents.

/**
 * Lets the node of an official client send actions of documents in the order of its log, and at
 * each connection all of them that the server has not answered. Otherwise, it sends what is added
 * while it reads its log for a new connection before what is older; never sends what another tab
 * has added before an action that was sent; and sends what it has read for a connection that was
 * lost meanwhile to the next one, whose times have another base. `isOfDocuments` decides by the
 * meta of an action. Returns what ends that.
 */
export function sendInOrder(node, log, isOfDocuments) {
  let later = []
  let isReading = () => node.authenticated && node.state === 'connecting'
  let unlisten = node.on('state', () => {
    if (isReading()) return
    for (let added of later.splice(0)) node.onAdd(...added)
  })

  node.onAdd = (...added) => {
    if (!isReading()) return Object.getPrototypeOf(node).onAdd.apply(node, added)
    later.push(added)
  }

  node.syncSince = async lastSynced => {
    let { baseTime } = node
    let sending = []
    let last = lastSynced
    await log.each({ order: 'added' }, (action, meta) => {
      let isUnanswered = isOfDocuments(meta) && meta.reasons.includes('syncing')
      if (meta.added <= lastSynced && !isUnanswered) return
      last = Math.max(last, meta.added)
      sending.push(node.options.onSend(action, meta))
    })
    let entries = (await Promise.all(sending)).filter(Boolean)
    if (!node.authenticated || node.baseTime !== baseTime) return
    if (entries.length > 0) node.sendSync(last, entries)
    else node.setState('synchronized')
  }

  return () => {
    unlisten()
    delete node.onAdd
    delete node.syncSince
    for (let added of later) node.onAdd(...added)
  }
}
