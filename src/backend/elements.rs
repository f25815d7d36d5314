//! The elements of a JSON list while the list is still coming.

use super::BackendError;

/// Cuts a list that comes in pieces into its elements. It looks for their ends only; whether they are JSON is for the reader to find out.
#[derive(Debug)]
pub(super) struct Elements {
    /// The bytes of the element that is being read.
    element: Vec<u8>,
    limit: usize,
    place: Place,
    /// Brackets and braces that are open inside the element.
    depth: usize,
    text: Text,
    /// Whether an element has to come, since a comma stands before.
    is_owed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Before,
    /// Before an element or in it.
    Inside,
    /// Behind an element that is told already, before the comma.
    Between,
    Behind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

impl Elements {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            element: Vec::new(),
            limit,
            place: Place::Before,
            depth: 0,
            text: Text::Outside,
            is_owed: false,
        }
    }

    /// Whether the list is closed.
    pub(super) fn is_complete(&self) -> bool {
        self.place == Place::Behind
    }

    /// Takes one byte; gives the element that ends with it.
    pub(super) fn byte(&mut self, byte: u8) -> Result<Option<Vec<u8>>, BackendError> {
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.place {
            Place::Before if byte == b'[' => self.place = Place::Inside,
            Place::Before | Place::Behind if is_space => {}
            Place::Before | Place::Behind => return Err(BackendError::NotAList),
            Place::Inside => return self.inside(byte, is_space),
            Place::Between if is_space => {}
            Place::Between => self.separator(byte)?,
        }
        Ok(None)
    }

    fn inside(&mut self, byte: u8, is_space: bool) -> Result<Option<Vec<u8>>, BackendError> {
        match (self.text, byte) {
            (Text::Escaped, _) => self.text = Text::Inside,
            (Text::Inside, b'\\') => self.text = Text::Escaped,
            (Text::Inside, b'"') => self.text = Text::Outside,
            (Text::Inside, _) => {}
            (Text::Outside, b'"') => self.text = Text::Inside,
            (Text::Outside, b'[' | b'{') => self.depth += 1,
            (Text::Outside, b',' | b']') if self.depth == 0 => {
                if self.element.is_empty() && (self.is_owed || byte == b',') {
                    return Err(BackendError::NotAList);
                }
                self.separator(byte)?;
                return Ok(self.take());
            }
            (Text::Outside, b']' | b'}') => {
                self.depth = self.depth.checked_sub(1).ok_or(BackendError::NotAList)?;
                if self.depth == 0 {
                    // Told at once: the comma may be long in coming.
                    self.place = Place::Between;
                    self.keep(byte)?;
                    return Ok(self.take());
                }
            }
            (Text::Outside, _) if is_space && self.element.is_empty() => return Ok(None),
            (Text::Outside, _) => {}
        }
        self.keep(byte)?;
        Ok(None)
    }

    fn keep(&mut self, byte: u8) -> Result<(), BackendError> {
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

    /// A comma, or the end of the list.
    fn separator(&mut self, byte: u8) -> Result<(), BackendError> {
        self.place = match byte {
            b',' => Place::Inside,
            b']' => Place::Behind,
            _ => return Err(BackendError::NotAList),
        };
        self.is_owed = byte == b',';
        Ok(())
    }
}
