//! The elements of a JSON list that is received in parts.

use super::BackendError;

/// Splits a JSON list into its elements, byte by byte. It finds only their ends; the caller checks
/// whether they are valid JSON.
#[derive(Debug)]
pub(super) struct Elements {
    /// The bytes of the current element.
    element: Vec<u8>,
    limit: usize,
    position: ListPosition,
    /// The number of open brackets and braces of the current element.
    depth: usize,
    string: StringState,
    /// Whether an element must follow, because the last separator was a comma.
    after_comma: bool,
}

/// The position in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListPosition {
    BeforeList,
    /// Before an element or inside of it.
    Element,
    /// After an element that was already returned, before the separator.
    AfterElement,
    AfterList,
}

/// The position relative to the strings of the current element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StringState {
    Outside,
    Inside,
    /// After a backslash.
    Escaped,
}

impl Elements {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            element: Vec::new(),
            limit,
            position: ListPosition::BeforeList,
            depth: 0,
            string: StringState::Outside,
            after_comma: false,
        }
    }

    /// Returns `true` if the end of the list was read.
    pub(super) fn is_complete(&self) -> bool {
        self.position == ListPosition::AfterList
    }

    /// Reads one byte. Returns the element that is complete with this byte.
    pub(super) fn byte(&mut self, byte: u8) -> Result<Option<Vec<u8>>, BackendError> {
        use ListPosition::{AfterElement, AfterList, BeforeList, Element};
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.position {
            BeforeList if byte == b'[' => self.position = Element,
            BeforeList | AfterList if is_space => {}
            BeforeList | AfterList => return Err(BackendError::NotAList),
            Element => return self.element_byte(byte, is_space),
            AfterElement if is_space => {}
            AfterElement => self.separator(byte)?,
        }
        Ok(None)
    }

    fn element_byte(&mut self, byte: u8, is_space: bool) -> Result<Option<Vec<u8>>, BackendError> {
        use StringState::{Escaped, Inside, Outside};
        match (self.string, byte) {
            (Escaped, _) => self.string = Inside,
            (Inside, b'\\') => self.string = Escaped,
            (Inside, b'"') => self.string = Outside,
            (Inside, _) => {}
            (Outside, b'"') => self.string = Inside,
            (Outside, b'[' | b'{') => self.depth += 1,
            (Outside, b',' | b']') if self.depth == 0 => {
                if self.element.is_empty() && (self.after_comma || byte == b',') {
                    return Err(BackendError::NotAList);
                }
                self.separator(byte)?;
                return Ok(self.take());
            }
            (Outside, b']' | b'}') => {
                self.depth = self.depth.checked_sub(1).ok_or(BackendError::NotAList)?;
                if self.depth == 0 {
                    // Returned before the separator, which may be received much later.
                    self.position = ListPosition::AfterElement;
                    self.push(byte)?;
                    return Ok(self.take());
                }
            }
            (Outside, _) if is_space && self.element.is_empty() => return Ok(None),
            (Outside, _) => {}
        }
        self.push(byte)?;
        Ok(None)
    }

    fn push(&mut self, byte: u8) -> Result<(), BackendError> {
        if self.element.len() >= self.limit {
            return Err(BackendError::TooLong { limit: self.limit });
        }
        self.element.push(byte);
        Ok(())
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let element = core::mem::take(&mut self.element);
        (!element.is_empty()).then_some(element)
    }

    /// Reads a comma or the end of the list.
    fn separator(&mut self, byte: u8) -> Result<(), BackendError> {
        self.position = match byte {
            b',' => ListPosition::Element,
            b']' => ListPosition::AfterList,
            _ => return Err(BackendError::NotAList),
        };
        self.after_comma = byte == b',';
        Ok(())
    }
}
