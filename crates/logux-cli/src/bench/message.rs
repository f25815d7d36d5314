//! Messages of the protocol, told apart by their first bytes; what they carry is found by search.

/// One message of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// The client is in.
    Connected,
    /// Actions, and the number to confirm them by.
    Sync { added: u64, actions: &'a [u8] },
    /// What was sent has arrived.
    Synced,
    /// Are you there?
    Ping,
    /// The server will not go on.
    Error,
    /// Nothing to do.
    Other,
}

/// What a message is.
pub(super) fn parse(text: &[u8]) -> Message<'_> {
    if let Some(rest) = text.strip_prefix(b"[\"sync\",") {
        let (added, digits) = number(rest);
        return Message::Sync { added, actions: &rest[digits..] };
    }
    let name = text.strip_prefix(b"[\"").unwrap_or_default();
    match name.split(|byte| *byte == b'"').next().unwrap_or_default() {
        b"synced" => Message::Synced,
        b"connected" => Message::Connected,
        b"ping" => Message::Ping,
        b"error" => Message::Error,
        _ => Message::Other,
    }
}

/// The number at the beginning, and how many digits it has.
pub(super) fn number(text: &[u8]) -> (u64, usize) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value = text[..digits]
        .iter()
        .fold(0_u64, |value, digit| value.wrapping_mul(10) + u64::from(digit - b'0'));
    (value, digits)
}

/// Appends a number.
pub(super) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_known_by_their_name() {
        assert_eq!(
            parse(br#"["sync",12,{"type":"a"},{}]"#),
            Message::Sync { added: 12, actions: br#",{"type":"a"},{}]"# }
        );
        assert_eq!(parse(br#"["synced",1]"#), Message::Synced);
        assert_eq!(parse(br#"["connected",5,"server:a",[1,2]]"#), Message::Connected);
        assert_eq!(parse(br#"["ping",1]"#), Message::Ping);
        assert_eq!(parse(br#"["error","wrong-format"]"#), Message::Error);
        assert_eq!(parse(br#"["headers",{}]"#), Message::Other);
        assert_eq!(parse(b""), Message::Other);
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for value in [0, 7, 10, 18_446_744_073_709_551_615] {
            let mut out = Vec::new();
            push_number(&mut out, value);
            assert_eq!(out, value.to_string().into_bytes());
            assert_eq!(number(&out), (value, out.len()));
        }
    }
}
