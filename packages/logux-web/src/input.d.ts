import type { Text } from './index.js'

/**
 * Lets an element show a text and change it. The selection stays at its letters, and what others
 * change while a word is composed is shown after it. The element is read-only while the user may
 * not edit the document. The others in the document hear that somebody is there: `others` has at
 * least an empty object for each.
 *
 * `undo`: whether the keys of undo and redo are those of the document. Default: `true`.
 *
 * @returns what ends that
 */
export function bindInput(
  element: HTMLInputElement | HTMLTextAreaElement,
  text: Text,
  options?: { undo?: boolean }
): () => void
