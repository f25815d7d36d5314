// The tabs of a browser that share a store. One leads: it has the database and the connection. The
// others follow it, over a BroadcastChannel. When it is gone, the next one leads.

/** Joins the tabs of a store. `undefined` where there is only one, such as in Node.js. */
export async function joinTabs(store) {
  if (store === undefined || !globalThis.navigator?.locks || !globalThis.BroadcastChannel) return
  let tabs = new Tabs(`logux-web ${store}`)
  await tabs.join()
  return tabs
}

class Tabs {
  #name
  #channel
  #client
  /** Gives back the locks of this tab. */
  #releases = []
  #aborting = new AbortController()
  /** Resolves when this tab leads. */
  #leading
  /** Resolves when the others can see that this tab lives. */
  #isSeen
  /** Called at the first word of the leader. */
  #heard = () => {}
  /** Whether this tab waits for the leader to accept its connection. */
  #isConnecting = false
  #isConnected = false
  /** What this tab has open, as calls of the engine by their JSON. */
  #open = new Map()
  /** What the followers have open: for each, the calls that close it, by the JSON of the others. */
  #followers = new Map()
  #watched = new Set()
  #announced

  follows = false
  /** What the leader has said last. */
  leader

  constructor(name) {
    this.#name = name
    this.#channel = new BroadcastChannel(name)
    this.#channel.onmessage = ({ data }) => this.#receive(data)
  }

  /** Resolves when it is known whether this tab leads. */
  async join() {
    let isFirst = await new Promise(decide => this.#lock(this.#name, decide, true))
    if (isFirst) return
    this.follows = true
    this.#leading = new Promise(resolve => this.#lock(this.#name, resolve))
    let heard = new Promise(resolve => (this.#heard = resolve))
    this.#post('leader', { type: 'hello' })
    await Promise.race([heard, this.#leading])
    // The last one has died without a word: this one leads from the start.
    if (!this.leader) this.follows = false
  }

  /** Begins to work for a client. */
  attach(client) {
    this.#client = client
    if (!this.follows) return this.announce()
    this.#isSeen = new Promise(resolve => this.#lock(this.#tabLock(client.nodeId), resolve))
    this.#leading.then(() => client.lead())
  }

  leave() {
    for (let tab of [...this.#followers.keys()]) this.#post(tab, { type: 'closed' })
    if (this.follows && this.#client) this.#post('leader', { type: 'closed' })
    this.#aborting.abort()
    this.#channel.close()
    for (let release of this.#releases) release()
  }

  // What a follower does.

  /** Connects to the tab that leads. */
  async connect() {
    this.#isConnecting = true
    await this.#isSeen
    if (this.#isConnecting) {
      this.#post('leader', { open: [...this.#open.values()], type: 'connect' })
    }
  }

  /** Ends the connection to the tab that leads. Returns `true`: there was one, or an attempt. */
  disconnect() {
    this.#isConnecting = this.#isConnected = false
    this.#post('leader', { type: 'closed' })
    return true
  }

  send(frame) {
    this.#post('leader', { frame, type: 'frame' })
  }

  /** The client has opened something by a call of the engine. */
  opened(call) {
    this.#open.set(JSON.stringify(call), call)
    if (this.follows && this.#isConnected) this.#post('leader', { call, type: 'open' })
  }

  closed(call) {
    this.#open.delete(JSON.stringify(call))
    if (this.follows && this.#isConnected) this.#post('leader', { call, type: 'close' })
  }

  // What the leader does.

  /** The client leads from now on. */
  leads() {
    this.follows = this.#isConnecting = this.#isConnected = false
    this.announce()
  }

  /** Tells the others what they show, if it has changed. */
  announce(isAsked = false) {
    if (this.follows || !this.#client) return
    let news = this.#client.tabNews()
    let text = JSON.stringify(news)
    if (!isAsked && text === this.#announced) return
    this.#announced = text
    this.#post('all', { ...news, type: 'leader' })
  }

  get hasFollowers() {
    return this.#followers.size > 0
  }

  sendTo(tab, frame) {
    this.#post(tab, { frame, type: 'frame' })
  }

  disconnectFrom(tab) {
    this.#forget(tab)
    this.#post(tab, { type: 'closed' })
  }

  #receive({ to, from, type, ...message }) {
    if (to === 'all') return this.#hear(message)
    if (!this.#client) return
    if (to === this.#client.nodeId) return this.#fromLeader(type, message)
    if (to !== 'leader' || this.follows || this.#client.isClosed) return
    if (type === 'hello') this.announce(true)
    else if (type === 'connect') this.#accept(from, message.open)
    else if (!this.#followers.has(from)) this.#post(from, { type: 'closed' })
    else if (type === 'open') this.#openFor(from, message.call)
    else if (type === 'close') this.#closeFor(from, JSON.stringify(message.call))
    else if (type === 'frame') {
      this.#client.ask({ followerFrame: { frame: message.frame, tab: from } })
    } else if (type === 'closed') this.#gone(from)
  }

  /** Hears of the leader. */
  #hear(leader) {
    let isNew = this.leader?.node !== leader.node
    this.leader = leader
    this.#heard()
    if (!this.follows || !this.#client || this.#client.isClosed) return
    this.#client.leaderSays(leader)
    if (!isNew) return
    // What was sent to the last one may be lost.
    if (this.#isConnected) this.#closedByLeader()
    else if (this.#isConnecting) this.connect()
  }

  #fromLeader(type, { frame }) {
    if (!this.follows || this.#client.isClosed) return
    if (type === 'opened' && this.#isConnecting) {
      this.#isConnecting = false
      this.#isConnected = true
      this.#client.ask('opened')
    } else if (type === 'frame' && this.#isConnected) {
      this.#client.ask({ frame: { frame } })
    } else if (type === 'closed' && this.#isConnected) {
      this.#closedByLeader()
    }
  }

  #closedByLeader() {
    this.#isConnected = false
    this.#client.ask('closed')
    // There is no reason to wait.
    this.#client.ask({ device: { device: 'online' } })
  }

  #accept(tab, open) {
    this.#forget(tab)
    this.#followers.set(tab, new Map())
    for (let call of open) this.#openFor(tab, call)
    this.#client.ask({ followerOpened: { tab } })
    this.#post(tab, { type: 'opened' })
    this.announce(true)
    if (this.#watched.has(tab)) return
    this.#watched.add(tab)
    this.#lock(this.#tabLock(tab), () => {
      this.#watched.delete(tab)
      this.#gone(tab)
      this.#releases.pop()?.()
    })
  }

  /** The leader keeps what the others have open. */
  #openFor(tab, call) {
    let number = this.#client.ask(call)
    let { kind, id } = call.open ?? {}
    let close = { closeList: { list: number } }
    if (call.open) close = { close: { channel: `${kind}/${id}` } }
    this.#followers.get(tab).set(JSON.stringify(call), close)
  }

  #closeFor(tab, key) {
    let open = this.#followers.get(tab)
    let close = open.get(key)
    open.delete(key)
    if (close) this.#client.ask(close)
  }

  #gone(tab) {
    if (this.#client.isClosed || !this.#followers.has(tab)) return
    this.#client.ask({ followerClosed: { tab } })
    this.#forget(tab)
  }

  #forget(tab) {
    for (let key of [...(this.#followers.get(tab)?.keys() ?? [])]) this.#closeFor(tab, key)
    this.#followers.delete(tab)
  }

  #tabLock(tab) {
    return `${this.#name} tab ${tab}`
  }

  #post(to, message) {
    this.#channel.postMessage({ ...message, from: this.#client?.nodeId, to })
  }

  /** Requests a lock, which this tab keeps until it leaves. `decide` is called with the lock. */
  #lock(name, decide, ifAvailable = false) {
    let options = ifAvailable ? { ifAvailable } : { signal: this.#aborting.signal }
    let requested = navigator.locks.request(name, options, lock => {
      if (!lock) return decide(false)
      return new Promise(release => {
        this.#releases.push(release)
        decide(true)
      })
    })
    // It is aborted when the tab leaves.
    requested.catch(() => {})
  }
}
