import type { Client } from './index.js'

/**
 * Shows a button in the corner of the page, which opens a panel for developers: the log of the
 * client with its order, reasons and fates; each open document at any moment; the actions that have
 * made a value what it is; the export of a log as a test.
 *
 * @returns what removes it
 */
export function devtools(
  client: Client,
  options?: {
    /** Whether the panel is open in the beginning. Default: `false`. */
    isOpen?: boolean
    /** The element that gets the panel. Default: the body. */
    parent?: Element
  }
): () => void
