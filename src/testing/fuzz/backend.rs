//! What a back end says.

use crate::backend::{ControlRequest, ResponseReader};

/// Longer answers than this are refused: short, so that the bound is met.
const LIMIT: usize = 256;

/// A body from a back end is read the same however it is cut, never beyond the bound, and what it asks for is all there or refused.
///
/// # Panics
/// When it is not.
pub fn backend(text: &str) {
    let body = text.as_bytes();
    let whole = read([body]);
    assert_eq!(read(body.chunks(1)), whole, "cut everywhere");
    let (head, tail) = body.split_at(body.len() / 2);
    assert_eq!(read([head, tail]), whole, "cut in the middle");
    if let Ok(request) = ControlRequest::from_json(body) {
        let _ = request.actions();
    }
}

/// All that is read, as text.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut answers = ResponseReader::new(LIMIT);
    let mut seen = Vec::new();
    for piece in pieces {
        answers.push(piece);
        while let Some(next) = answers.next() {
            let is_over = next.is_err();
            seen.push(format!("{next:?}"));
            if is_over {
                return seen;
            }
        }
    }
    seen.push(format!("{:?}", answers.finish()));
    seen
}
