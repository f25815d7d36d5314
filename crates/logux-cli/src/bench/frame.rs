//! WebSocket frames, looked at in place. A server sends text in whole frames, which is all that is read here.

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Clients mask what they send. Browsers have to do it in ways that nobody can guess, because of proxies; a load program has no such need.
const MASK: [u8; 4] = *b"Lgux";

/// One frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Text(&'a [u8]),
    Ping(&'a [u8]),
    /// With the reason as the server has put it.
    Close(&'a [u8]),
    /// Nothing to do.
    Pong,
}

/// The first frame, and how many bytes it takes. `None` while it is not whole.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, &'static str> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    if first & 0xf0 != 0x80 {
        return Err(
            "the server sends messages in pieces, or uses an extension that nobody has offered",
        );
    }
    if second & 0x80 != 0 {
        return Err("the server masks its frames");
    }
    let (len, head) = match (second, rest) {
        (126, &[a, b, ..]) => (u64::from(u16::from_be_bytes([a, b])), 4),
        (127, rest) if let Some(bytes) = rest.first_chunk::<8>() => {
            (u64::from_be_bytes(*bytes), 10)
        }
        (126 | 127, _) => return Ok(None),
        (len, _) => (u64::from(len), 2),
    };
    let end = usize::try_from(len)
        .ok()
        .and_then(|len| len.checked_add(head))
        .ok_or("a frame beyond any memory")?;
    let Some(payload) = bytes.get(head..end) else { return Ok(None) };
    let frame = match first & 0x0f {
        TEXT | BINARY => Frame::Text(payload),
        PING => Frame::Ping(payload),
        PONG => Frame::Pong,
        CLOSE => Frame::Close(payload.get(2..).unwrap_or_default()),
        _ => return Err("a frame of a kind that does not exist"),
    };
    Ok(Some((frame, end)))
}

/// Appends a text message.
pub(super) fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    push(out, TEXT, text);
}

/// Appends the answer to a ping.
pub(super) fn push_pong(out: &mut Vec<u8>, payload: &[u8]) {
    push(out, PONG, payload);
}

/// Appends a goodbye.
pub(super) fn push_close(out: &mut Vec<u8>) {
    push(out, CLOSE, &1000_u16.to_be_bytes());
}

fn push(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_found_when_they_are_whole() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let text = vec![b'x'; len];
            let mut bytes = Vec::new();
            push_text(&mut bytes, &text);
            // As a server would send it: without the mask.
            let head = bytes.len() - len - 4;
            bytes.drain(head..head + 4);
            bytes[1] &= 0x7f;
            bytes[head..].fill(b'x');
            assert_eq!(parse(&bytes[..bytes.len() - 1]), Ok(None), "{len}");
            let whole = bytes.len();
            bytes.push(0x81);
            assert_eq!(parse(&bytes), Ok(Some((Frame::Text(&text), whole))), "{len}");
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_named() {
        assert!(parse(&[0x01, 0]).is_err(), "a piece");
        assert!(parse(&[0xc1, 0]).is_err(), "compressed");
        assert!(parse(&[0x81, 0x80, 0, 0, 0, 0]).is_err(), "masked");
        assert_eq!(
            parse(&[0x88, 5, 3, 0xe8, b'b', b'y', b'e']),
            Ok(Some((Frame::Close(b"bye"), 7)))
        );
    }
}
