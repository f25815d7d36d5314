import type {
  Client,
  Json,
  LoguxDocument,
  LoguxRecord,
  LoguxRecords,
  Path,
  RecordFields,
  RecordsOptions,
  Text
} from './index.js'

// Until there is a client, hooks return what is shown while something is loading. What a component
// has open closes a second after no component shows it any more.

/** Opens a document. The component is rendered again when its status, or `canUndo`, changes. */
export function useDocument(
  client: Client | undefined,
  kind: string,
  id: string
): {
  document: LoguxDocument | undefined
  status: LoguxDocument['status']
  canUndo: boolean
  canRedo: boolean
}

/** Returns the value at a path of a document, or the whole document. */
export function useValue(document: LoguxDocument | undefined, path?: Path): Json | undefined

/** Returns a text of a document, and the object that changes it. */
export function useText(
  document: LoguxDocument | undefined,
  path: Path
): { value: string; text: Text | undefined }

/**
 * Returns what the others show in a document, by node id, and what shows them something: `null`
 * takes it back, as the end of the component does.
 */
export function usePresence(document: LoguxDocument | undefined): {
  others: Record<string, Json>
  show(state: Json): void
}

/** Opens the records that match a filter. */
export function useRecords<Fields extends object = RecordFields>(
  client: Client | undefined,
  plural: string,
  options?: RecordsOptions<Fields>
): {
  records: ReturnType<LoguxRecords<Fields>['get']>
  status: LoguxRecords['status']
  list: LoguxRecords<Fields> | undefined
}

/** Opens one record. `value` is `undefined` while there is none. */
export function useRecord<Fields extends object = RecordFields>(
  client: Client | undefined,
  plural: string,
  id: string
): {
  value: ReturnType<LoguxRecord<Fields>['get']>
  status: LoguxRecord['status']
  record: LoguxRecord<Fields> | undefined
}

/** Returns what to show about the connection, in the words of `status` of `@logux/client`. */
export function useStatus(client: Client | undefined): string
