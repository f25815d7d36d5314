import type { Extension } from '@codemirror/state'
import type { Command, KeyBinding } from '@codemirror/view'

import type { LoguxDocument, Text } from './index.js'

export interface CollaborationOptions {
  /** The name and the colour that the others see at the cursor. Default: no cursors. */
  user?: {
    name: string
    /** A colour of CSS that white is readable on. Default: by the node id. */
    color?: string
  }
  /**
   * The document in which the cursors are. Default: that of the text. `null`: no cursors, and the
   * others do not hear that somebody is there.
   */
  presence?: LoguxDocument | null
  /** Whether the keys of undo and redo are those of the document. Default: `true`. */
  undo?: boolean
}

/**
 * Lets an editor show a text and change it. The editor shows what the text has, whatever its `doc`
 * is, and is read-only while the user may not edit the document. Each transaction is one action.
 * What others change is not in the history of the editor.
 */
export function collaboration(text: Text, options?: CollaborationOptions): Extension

/** Undoes the latest step of the user in the document, and selects what was selected before it. */
export const undo: Command

/** Redoes the latest undone step. */
export const redo: Command

export const undoKeymap: readonly KeyBinding[]
