//! Responses and control requests of a back end.

use crate::backend::{ControlRequest, ResponseReader};

/// The limit of one response, in bytes. Small, so that inputs reach it.
const LIMIT: usize = 256;

/// Checks that a body of a back end is read the same however it is cut into pieces, within the
/// limit, and that a control request is read as a whole or refused.
///
/// # Panics
/// If a property does not hold.
pub fn backend(text: &str) {
    let body = text.as_bytes();
    let whole = read([body]);
    assert_eq!(read(body.chunks(1)), whole, "cut after each byte");
    let (head, tail) = body.split_at(body.len() / 2);
    assert_eq!(read([head, tail]), whole, "cut in the middle");
    if let Ok(request) = ControlRequest::from_json(body) {
        let _ = request.commands();
    }
}

/// All results of the reader, in their `Debug` form.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut reader = ResponseReader::new(LIMIT);
    let mut results = Vec::new();
    for piece in pieces {
        reader.push(piece);
        while let Some(next) = reader.next() {
            let is_error = next.is_err();
            results.push(format!("{next:?}"));
            if is_error {
                return results;
            }
        }
    }
    results.push(format!("{:?}", reader.finish()));
    results
}
