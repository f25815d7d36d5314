import type { LogEntry, LoguxDocument, Options } from './index.js'

/** The documents of a log. They can be read, also at earlier moments, but not edited. */
export interface Replay {
  document(kind: string, id: string): LoguxDocument
  close(): void
}

/**
 * Returns the documents of a log, without a server: for tests of what `client.entries()` had in the
 * past. `logux-web/devtools` exports such tests.
 */
export function replay(
  entries: Pick<LogEntry, 'action' | 'added' | 'id' | 'reasons' | 'time'>[],
  options?: Pick<Options, 'wasm'>
): Promise<Replay>
