/** A value of JSON. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** A JSON Pointer such as `/members/ada`, one key such as `title`, or a list of keys. */
export type Path = string | (string | number)[]

export interface Action {
  type: string
  [key: string]: unknown
}

export interface Options {
  /** The address of the server, such as `wss://example.com`. */
  server: string
  /** The id of the user. */
  userId: string
  /** The token of the user. A function is called again when the server refuses the token. */
  token?: string | (() => string | Promise<string>)
  /**
   * The name of the IndexedDB database, in which the client keeps everything, for all tabs of one
   * user that have the same name. Without it, and in Node.js, nothing is kept after the client
   * ends.
   */
  store?: string
  /** The version of the application's protocol. Default: 0. */
  subprotocol?: number
  /**
   * The module `logux-web/logux.wasm`, if a bundler does not serve it: its bytes or a response. See
   * "Bundlers and runtimes" in the README. Only the first client of a page loads it.
   */
  wasm?: BufferSource | Response | Promise<Response> | WebAssembly.Module
  /** Another implementation of `WebSocket`, for Node.js before version 22. */
  WebSocket?: new (url: string) => unknown
}

/**
 * Opens a client, and begins to connect. The first call loads the WebAssembly module; after an
 * error, the next call tries again.
 */
export function open(options: Options): Promise<Client>

/** The server has undone an action. */
export class UndoneError extends Error {
  /** The reason, such as `denied`; `dropped`: it was undone before it was sent. */
  readonly reason: string
  /** The action, as far as it is known. */
  readonly action?: Action
}

/** A promise of the server's answer to an action. It is rejected with an {@link UndoneError}. */
export interface Answer extends Promise<void> {
  /** The id of the action. `undefined`: nothing was to be changed. */
  readonly id?: string
  /** Resolves when the action is kept on this device. */
  readonly kept?: Promise<void>
}

/** An action in the log of this device. */
export interface LogEntry {
  id: string
  action: Action
  /** In milliseconds since the epoch, by the clock of this device. */
  time: number
  /** The number in the order in which this device has received the actions. */
  added: number
  /** Why the action is kept. */
  reasons: string[]
  /** `waiting`: the server has not answered. */
  fate: 'waiting' | 'processed' | 'undone'
}

export type State = 'disconnected' | 'connecting' | 'sending' | 'synchronized'

/** The meta of an action in the log. */
export interface Meta {
  id: string
  /** In milliseconds since the epoch, by the clock of this device. */
  time: number
  /** The number in the log. `undefined`: it was not kept. */
  added?: number
  reasons: string[]
  indexes?: string[]
  /** The action waits for the server's answer. */
  sync?: boolean
}

/** The meta of an own action. Without a reason, and without `sync`, it is not kept. */
export interface OwnMeta extends Partial<Meta> {
  /** A reason that only the latest action with it has. */
  keepLast?: string
}

export interface TypeOptions {
  /** Default: `add`. */
  event?: 'preadd' | 'add' | 'clean'
  /** The `id` of the action, such as that of a record. */
  id?: string
}

/** A type of actions, or what creates them. */
export type TypeOf = string | { type: string }

/** The log of this device. `client.log` has what functions of `@logux/client` use. */
export interface ClientLog {
  readonly nodeId: string
  /** An own action is about to be added. The listener may change its meta. */
  on(event: 'preadd', listener: (action: Action, meta: OwnMeta) => void): () => void
  /**
   * `add`: an own or received action was added. `clean`: it was removed, or not kept. Both are told
   * after the first call only.
   */
  on(event: 'add' | 'clean', listener: (action: Action, meta: Meta) => void): () => void
  /** Calls a function at the actions of a type. */
  type(
    type: TypeOf,
    listener: (action: Action, meta: Meta) => void,
    options?: TypeOptions
  ): () => void
  generateId(): string
  /**
   * Adds an action, and sends it if `meta.sync` is `true`. Resolves with its meta when it is kept,
   * or `false` if the log has its id. In a tab that follows, an action that is not sent is kept as
   * long as the tab is open.
   */
  add(action: Action, meta?: OwnMeta): Promise<Meta | OwnMeta | false>
}

/** The connection. `client.node` has what functions of `@logux/client` use. */
export interface ClientNode {
  readonly localNodeId: string
  /** The node id of the server, or of the tab that leads. */
  readonly remoteNodeId: string | undefined
  readonly state: State
  readonly connected: boolean
  readonly connection: { readonly url: string; readonly connected: boolean }
  on(event: 'state', listener: (state: State) => void): () => void
  /** The server has reported an error, such as `wrong-credentials`. */
  on(event: 'error', listener: (error: Error & { type: string }) => void): () => void
  /** The server has violated the protocol. */
  on(event: 'clientError', listener: (error: Error & { type: string }) => void): () => void
  on(event: 'debug', listener: (type: string, text: string) => void): () => void
}

/**
 * A client. `status`, `badge`, `confirm`, `favicon`, `attention` and `log` of `@logux/client` can
 * be called with it.
 */
export interface Client {
  /** What `open` was called with. */
  readonly options: Options
  /** The user and the device, such as `ada:8fk2x0qa`. */
  readonly clientId: string
  readonly tabId: string
  /** The client id and the tab id. */
  readonly nodeId: string
  readonly log: ClientLog
  readonly node: ClientNode
  readonly state: State
  /** What to show about the connection, in the words of `status` of `@logux/client`. */
  readonly status: string
  readonly $state: Store<State>
  readonly $status: Store<string>
  readonly connected: boolean
  /** Whether a database keeps what this client does: its own, or that of the tab that leads. */
  readonly isKept: boolean
  /** Whether this tab has the database and the connection, for the other tabs of its store too. */
  readonly isLeader: boolean
  /** The same, in the words of `@logux/client`. */
  readonly role: 'leader' | 'follower'
  /** The number of actions of this device that the server has not confirmed. */
  readonly unsaved: number
  /** Resolves when everything so far is kept on this device. */
  readonly kept: Promise<void>
  /** Resolves when the server has everything that this device has changed. */
  readonly saved: Promise<void>
  /** Opens a document, or returns the open one. */
  document(kind: string, id: string): LoguxDocument
  /** The open documents. */
  readonly documents: LoguxDocument[]
  /** Returns all entries of the log in their order. */
  entries(): LogEntry[]
  /**
   * Opens the records of a kind that match a filter, or returns the open list: those whose fields
   * are equal to all fields of the filter.
   */
  records<Fields extends object = RecordFields>(
    plural: string,
    options?: RecordsOptions<Fields>
  ): LoguxRecords<Fields>
  /** Opens one record, or returns the open one. */
  record<Fields extends object = RecordFields>(plural: string, id: string): LoguxRecord<Fields>
  /** Adds an action of the application, and sends it. */
  sync(action: Action, meta?: OwnMeta): Answer
  /** Adds an action that stays on this device: `log.add`. */
  add(action: Action, meta?: OwnMeta): Promise<Meta | OwnMeta | false>
  /** Calls a function at the actions of a type: `log.type`. */
  type(
    type: TypeOf,
    listener: (action: Action, meta: Meta) => void,
    options?: TypeOptions
  ): () => void
  /** Resolves when the connection has a state. */
  waitFor(state: State): Promise<void>
  on(event: 'state', listener: (state: State) => void): () => void
  on(event: 'status', listener: (status: string) => void): () => void
  /** As `log.on`. */
  on(event: 'preadd', listener: (action: Action, meta: OwnMeta) => void): () => void
  on(event: 'add' | 'clean', listener: (action: Action, meta: Meta) => void): () => void
  /** This tab leads now. */
  on(event: 'role', listener: (role: 'leader' | 'follower') => void): () => void
  /** Never called: a client has one user. */
  on(event: 'user', listener: (userId: string) => void): () => void
  /** An own action was undone. */
  on(event: 'undone', listener: (error: UndoneError, id: string) => void): () => void
  /**
   * The server refuses the client (`kind` is the word of the protocol, such as
   * `wrong-credentials`), or the database cannot be written (`not-kept`): it is full, or the user
   * has removed it. Then the client goes on, and keeps what is new in memory only.
   */
  on(event: 'error', listener: (error: Error) => void): () => void
  /** A message of the server for the developer. */
  on(event: 'debug', listener: (text: string) => void): () => void
  /** Ends the client, when everything is kept. */
  close(): Promise<void>
}

export type DocumentStatus = 'loading' | 'ready' | 'readOnly' | 'missing' | 'forbidden' | 'deleted'
export type Operation = 'read' | 'create' | 'edit' | 'comment' | 'delete' | 'manage'

/** What changes while it is shown, in the shape of a store of nanostores. */
export interface Store<Value> {
  /** The number of listeners. */
  readonly lc: number
  /** The same as `get`. */
  readonly value: Value
  eq(one: unknown, other: unknown): boolean
  /** Returns the value: the same object until it changes. Do not change it. */
  get(): Value
  /** Calls a function with the value, now and after each change. Returns what ends that. */
  subscribe(listener: (value: Value) => void): () => void
  /** Calls a function with the value after each change. Returns what ends that. */
  listen(listener: (value: Value) => void): () => void
  /** Calls a function after each change, without the value, which may be large. */
  watch(listener: () => void): () => void
  /** Ends all calls. */
  off(): void
}

/**
 * A document that people edit together. As a store, its value is its JSON; its listeners are also
 * called when the status, or what the others show, has changed.
 */
export interface LoguxDocument extends Omit<Store<Json | undefined>, 'get'> {
  readonly kind: string
  readonly id: string
  readonly channel: string
  /** Whether the document can be called: neither it nor its client is closed. */
  readonly isOpen: boolean
  /** Whether the document can be used. Another text is the reason of the server. */
  readonly status: DocumentStatus | (string & {})
  /** Resolves with the status when the server has answered. */
  readonly loading: Promise<string>
  /** Resolves when the server has everything that this device has changed, also elsewhere. */
  readonly saved: Promise<void>
  readonly $status: Store<string>
  readonly canUndo: boolean
  readonly canRedo: boolean
  /** The states that the others show, by node id. The same object until they change. */
  readonly others: Record<string, Json>
  readonly $others: Store<Record<string, Json>>
  may(operation: Operation): boolean
  /** Returns the value at a path, or the whole document. `undefined`: there is none. */
  get(path?: Path): Json | undefined
  /** Returns a store of the value at a path. */
  part(path: Path): Store<Json | undefined>
  /** Lets the document show a value. Texts and lists change where they differ. */
  set(path: Path, value: Json): Answer
  delete(path: Path): Answer
  /** Adds to a number. Increments at the same time all count. Default: 1. */
  increment(path: Path, by?: number): Answer
  list(path: Path): List
  text(path: Path): Text
  tree(path: Path): Tree
  /** Makes operations in one action: those of `KIND/change` in `spec/documents.md`. */
  edit(...operations: { op: string; path: string; [key: string]: Json }[]): Answer
  /** The positions to which this device can go back, oldest first. */
  history(): { id: string; time: number; isUndone: boolean }[]
  /** Returns the document right after an action. `undefined`: it is not in the history. */
  stateAt(id: string): Json | undefined
  create(): Answer
  /** Deletes the document itself. `create` takes that back. */
  deleteDocument(): Answer
  /**
   * Undoes the latest step of one's own, whatever others have edited since. Returns what was
   * selected before the step; `undefined` if that was not recorded.
   */
  undo(): Json | undefined
  redo(): Json | undefined
  /** Records what the user has selected, such as anchors, for the step of the next edit. */
  select(selection?: Json): void
  /** Ends the current step of undo. */
  closeStep(): void
  /**
   * Shows the others a state, such as a name and the anchor of a cursor. `null`: nothing. What is
   * typed is sent at once while others show something, and otherwise after a pause, or 2 s.
   */
  setPresence(state: Json): void
  /** What this device shows the others. */
  readonly presence: Json
  /** Closes the document, when it was called as often as `document` of the client. */
  close(): void
}

export type RecordFields = { [name: string]: Json }

export interface RecordsOptions<Fields extends object = RecordFields> {
  /** The values that fields must have. Default: `{}`, all records. */
  filter?: Partial<Fields> & { id?: string }
}

/** What lists of records and single records share. Undo is of all records of the kind. */
interface RecordStore<Value> extends Store<Value> {
  readonly plural: string
  /** Whether the server has sent what it has. Another text is the reason of the server. */
  readonly status: 'loading' | 'ready' | 'missing' | 'forbidden' | 'deleted' | (string & {})
  /** Resolves with the status when the server has answered. */
  readonly loading: Promise<string>
  readonly $status: Store<string>
  readonly canUndo: boolean
  readonly canRedo: boolean
  /** Undoes the latest own step: it writes the values of before as a new change. */
  undo(): void
  redo(): void
  /** Ends the current step of undo. */
  closeStep(): void
  /**
   * Ends the subscription, when it was called as often as `records` or `record` of the client. What
   * the device has of the records is kept.
   */
  close(): void
}

/** The records of a kind that match a filter, in the order of their ids. */
export interface LoguxRecords<Fields extends object = RecordFields>
  extends RecordStore<readonly Readonly<Fields & { id: string }>[]> {
  /** Creates a record. Returns its id: that of the fields, or a new one, greater than before. */
  create(fields: Fields & { id?: string }): string
  /** Changes the given fields of a record. */
  change(id: string, fields: Partial<Fields>): Answer
  delete(id: string): Answer
}

/** One record. Its value is `undefined` while there is none. */
export interface LoguxRecord<Fields extends object = RecordFields>
  extends RecordStore<Readonly<Fields & { id: string }> | undefined> {
  readonly id: string
  create(fields: Fields): Answer
  /** Changes the given fields. */
  change(fields: Partial<Fields>): Answer
  delete(): Answer
}

export interface List {
  get(): Json[]
  insert(index: number, ...values: Json[]): Answer
  push(...values: Json[]): Answer
  remove(index: number, count?: number): Answer
  move(from: number, to: number): Answer
}

/** A node of a tree. */
export interface TreeNode {
  id: string
  /** `null`: the node is at the top level. */
  parent: string | null
  /** The number of nodes above it. */
  depth: number
  value: Json
}

export interface TreePlace {
  /** The id of a node. Default: none, which is the top level. */
  parent?: string
  /** The index among the children of the parent afterwards. Default: the end. */
  index?: number
}

/** A tree, such as an outline. Moves that would make a cycle have no effect. */
export interface Tree {
  readonly document: LoguxDocument
  /** The JSON Pointer of the tree in the document. */
  readonly path: string
  /** Returns all nodes: each before its children. */
  get(): TreeNode[]
  /** Returns the children of a node, or the nodes of the top level. */
  children(parent?: string): { id: string; value: Json }[]
  /** Creates a node. The result has its id, `node`. */
  create(value: Json, place?: TreePlace): Answer & { readonly node: string }
  /** Moves a node with everything below it. */
  move(node: string, place?: TreePlace): Answer
  /** Lets a node show a value. */
  set(node: string, value: Json): Answer
  /** Removes a node with everything below it. */
  remove(node: string): Answer
  /** Returns the path of a node, or of a field of its value, for the methods of the document. */
  pathOf(node: string, ...keys: (string | number)[]): string
}

/** A replacement in a text. Indexes are those of the text before all changes of the list. */
export interface TextChange {
  from: number
  /** Default: `from`. */
  to?: number
  /** Default: nothing. */
  insert?: string
}

/** A text. Indexes count UTF-16 code units, as in a `string`. */
export interface Text {
  readonly document: LoguxDocument
  /** The JSON Pointer of the text in the document. */
  readonly path: string
  get(): string
  /** Makes the text equal to another one, by the smallest changes. */
  set(value: string): Answer
  insert(index: number, text: string): Answer
  remove(index: number, count?: number): Answer
  /** Replaces a part in one action. */
  replace(from: number, to: number, text: string): Answer
  /** Makes changes in one action. */
  edit(changes: TextChange[]): Answer
  /** Returns who has written which part. `time` is in milliseconds since the epoch. */
  authors(): { from: number; to: number; author: string; time: number | null }[]
  /** Returns a value that stays at the letter before an index, for cursors and comments. */
  anchor(index: number): Json
  /** Returns the index of an anchor now. `undefined`: its letter is not known here. */
  indexOf(anchor: Json): number | undefined
  /** Calls a function with the changes that were not made by this object, for editors. */
  listen(listener: (changes: Required<TextChange>[]) => void): () => void
}
