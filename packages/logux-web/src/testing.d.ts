// Tests of reducers, for any test framework: a promise that is rejected with a story.

/** A reducer, as in Redux: the state before the first action is what it returns without a state. */
export type Reducer<State, Action> = (state: State | undefined, action: Action) => State

/** Picks one of some values. The first ones are in the shortest stories. */
export type Pick = <Value>(values: readonly Value[]) => Value

/** What makes the actions of the users. */
export type Actions<State, Action> =
  | readonly Action[]
  /**
   * Returns an action of a user who sees a state, or nothing if none makes sense. It has to depend
   * on its arguments only.
   */
  | ((state: State, pick: Pick) => Action | null | undefined)

/** Laws by name. A law is broken if it returns `false`, or throws as assertions do. */
export type Laws<Args extends unknown[]> = Record<string, (...args: Args) => unknown>

export interface TestOptions<State, Action> {
  actions: Actions<State, Action>
  /** Laws about the state at the end, and the actions that are in effect, in their order. */
  ends?: Laws<[state: State, actions: Action[]]>
  /** The seed of all that is random. Default: another one each time. */
  seed?: number
}

export interface LawsOptions<State, Action> extends TestOptions<State, Action> {
  /** Laws about every state that a user sees, also while actions are missing or arrive late. */
  always?: Laws<[state: State]>
  /** Whether the order of the actions must make no difference. Default: `false`. */
  commutes?: boolean
  /** The number of histories for each law. Default: 256. */
  histories?: number
  /** The number of users, 2 to 4. Default: 2. */
  users?: number
  /** The largest number of steps of a history. Default: 12. */
  turns?: number
}

export interface WorldsOptions<State, Action> extends TestOptions<State, Action> {
  /** The number of worlds. Default: 50. */
  worlds?: number
  /** The number of clients in a world, 1 to 16. Default: 3. */
  clients?: number
  /** The largest number of events in a world. Default: 40. */
  events?: number
}

/** What has happened in all worlds together. */
export interface WorldsReport {
  seed: number
  /** Actions that clients have added. */
  actions: number
  /** Actions that are undone at the end. */
  undone: number
  /** Connections that were cut. */
  cuts: number
  /** Messages that were lost with their connection. */
  lost: number
  /** Crashes of clients and servers. */
  crashes: number
  /** The virtual time, in milliseconds. */
  ms: number
}

/**
 * A law that is broken. The message is a story, the shortest that was found: what two users do, and
 * what they have then.
 */
export class BrokenLaw extends Error {
  name: 'BrokenLaw'
  /** With this seed, and the same options, the same story is found again. */
  seed: number
  /** The error of the reducer or of a law of the application, if it has thrown one. */
  cause?: unknown
  private constructor()
}

/**
 * Tests a reducer in random histories: a few users add actions, receive those of others, late and
 * in other orders, and undo actions.
 *
 * The laws: the reducer throws no error, leaves the state and the action as they are, gives one
 * state for one state and one action (no clock, no random numbers), and its states are JSON; all
 * users end with one state; an action that is undone is as if it never was. Then the laws of the
 * options.
 *
 * `Kind` makes TypeScript infer the types of actions as literals.
 *
 * @throws {BrokenLaw}
 */
export function assertLaws<State, Kind extends string, Action extends { type: Kind }>(
  reducer: Reducer<State, Action>,
  options: LawsOptions<State, Action>
): Promise<{ seed: number }>

/**
 * Tests a reducer in worlds of clients and a server, which accepts all actions: connections are cut
 * and clients are offline, messages arrive late, actions are undone, clocks are wrong, clients and
 * the server crash. At the end, all have all actions once, and one state. Time is virtual.
 *
 * World number n has the seed plus n, so that the one in which something is wrong is found again by
 * its seed.
 *
 * @throws {BrokenLaw}
 */
export function assertSurvives<State, Kind extends string, Action extends { type: Kind }>(
  reducer: Reducer<State, Action>,
  options: WorldsOptions<State, Action>
): Promise<WorldsReport>
