//! Encoding and decoding of RFC 6455 frames, without I/O.
//!
//! The public functions are for clients that manage their own sockets and buffers. Other programs
//! use [`WebSocketTransport`](super::WebSocketTransport).

use std::io::Cursor;

use bytes::{Buf, Bytes, BytesMut};
use tokio_tungstenite::tungstenite::protocol::{
    Role,
    frame::{
        FrameHeader,
        coding::{CloseCode, Control, Data, OpCode},
    },
};

use crate::{
    AnnouncedFrame, CloseReason, Frame, FrameLimits, NetError,
    bytes_io::{WriteQueue, take},
};

/// The longest payload of a control frame, in bytes.
const MAX_CONTROL: usize = 125;

/// A message from the peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Frame(Frame),
    Ping(Bytes),
    Close(CloseReason),
}

/// Decodes messages. Buffers one incomplete message, at most the limit and one read.
#[derive(Debug)]
pub(super) struct Decoder {
    role: Role,
    limits: FrameLimits,
    header: Option<(FrameHeader, usize)>,
    /// The payload so far of a fragmented message.
    fragments: Option<BytesMut>,
    /// The size of the current message that may be received without an announcement.
    admitted: usize,
    announced: Option<AnnouncedFrame>,
}

impl Decoder {
    /// Creates a decoder for the end with this role.
    pub(super) const fn new(role: Role, limits: FrameLimits) -> Self {
        let admitted = limits.announce_from;
        Self { role, limits, header: None, fragments: None, admitted, announced: None }
    }

    /// Replaces the limits. A message whose header is received already keeps its own.
    pub(super) const fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
        if self.is_between_messages() {
            self.admitted = limits.announce_from;
        }
    }

    /// Returns the message whose payload waits for [`admit`](Self::admit).
    pub(super) const fn announced(&self) -> Option<AnnouncedFrame> {
        self.announced
    }

    /// Permits the announced payload, and reserves the memory for it.
    pub(super) fn admit(&mut self, inbox: &mut BytesMut) {
        let Some(announced) = self.announced.take() else { return };
        self.admitted = self.admitted.max(announced.bytes);
        if let Some((_, len)) = &self.header {
            inbox.reserve(len.saturating_sub(inbox.len()));
        }
    }

    /// Returns the number of received bytes of an incomplete message, of which `unread` are not
    /// decoded.
    pub(super) fn partial_bytes(&self, unread: usize) -> usize {
        let fragments = self.fragments.as_ref().map_or(0, BytesMut::len);
        if self.header.is_some() { fragments + unread } else { fragments }
    }

    /// Returns `true` if no part of the next message is received.
    pub(super) const fn is_between_messages(&self) -> bool {
        self.header.is_none() && self.fragments.is_none()
    }

    /// Decodes the next message in `inbox`. `None` if more bytes are needed.
    pub(super) fn decode(&mut self, inbox: &mut BytesMut) -> Result<Option<Incoming>, NetError> {
        loop {
            if self.announced.is_some() {
                return Ok(None);
            }
            let (header, len) = match self.header.take() {
                Some(header) => header,
                None => match self.decode_header(inbox)? {
                    Some(header) => header,
                    None => return Ok(None),
                },
            };
            self.announced = self.to_announce(&header, len);
            if self.announced.is_some() || inbox.len() < len {
                self.header = Some((header, len));
                return Ok(None);
            }
            let mut payload = take(inbox, len);
            if let Some(mask) = header.mask {
                apply_mask(&mut payload, mask);
            }
            let incoming = match header.opcode {
                OpCode::Control(control) => control_frame(control, payload.freeze())?,
                OpCode::Data(data) => self.data_frame(data, header.is_final, payload)?,
            };
            if incoming.is_some() {
                return Ok(incoming);
            }
        }
    }

    /// Reads a header and validates it before the payload is received.
    fn decode_header(
        &self,
        inbox: &mut BytesMut,
    ) -> Result<Option<(FrameHeader, usize)>, NetError> {
        let Some((header, len, read)) = parse_header(self.role, inbox)? else { return Ok(None) };
        inbox.advance(read);
        let max_len = match header.opcode {
            OpCode::Control(_) => MAX_CONTROL,
            OpCode::Data(Data::Continue) => match &self.fragments {
                None => return Err(NetError::Violation("continuation without a message")),
                Some(fragments) => self.limits.max_frame.saturating_sub(fragments.len()),
            },
            OpCode::Data(_) if self.fragments.is_some() => {
                return Err(NetError::Violation("new message before the end of a fragmented one"));
            }
            OpCode::Data(_) => self.limits.max_frame,
        };
        match usize::try_from(len) {
            Ok(len) if len <= max_len => Ok(Some((header, len))),
            _ => Err(NetError::FrameTooLarge { limit: self.limits.max_frame }),
        }
    }

    /// Returns what to announce before a payload is received.
    fn to_announce(&self, header: &FrameHeader, len: usize) -> Option<AnnouncedFrame> {
        let bytes = self.fragments.as_ref().map_or(0, BytesMut::len) + len;
        let is_announced = matches!(header.opcode, OpCode::Data(_)) && bytes > self.admitted;
        is_announced.then_some(AnnouncedFrame { bytes, may_grow: !header.is_final })
    }

    /// Text and binary messages are equivalent: both have to be UTF-8.
    fn data_frame(
        &mut self,
        data: Data,
        is_final: bool,
        payload: BytesMut,
    ) -> Result<Option<Incoming>, NetError> {
        let whole = match (data, self.fragments.take()) {
            (Data::Continue, Some(mut fragments)) => {
                fragments.extend_from_slice(&payload);
                fragments
            }
            _ => payload,
        };
        if !is_final {
            self.fragments = Some(whole);
            return Ok(None);
        }
        self.admitted = self.limits.announce_from;
        let frame = Frame::try_from(whole.freeze()).map_err(|_| NetError::NotUtf8)?;
        Ok(Some(Incoming::Frame(frame)))
    }
}

/// Parses a header and checks what does not depend on earlier frames. Returns the header, the
/// length of the payload, and the length of the header.
fn parse_header(role: Role, bytes: &[u8]) -> Result<Option<(FrameHeader, u64, usize)>, NetError> {
    let mut cursor = Cursor::new(bytes);
    let parsed =
        FrameHeader::parse(&mut cursor).map_err(|_| NetError::Violation("unknown opcode"))?;
    let Some((header, len)) = parsed else { return Ok(None) };
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(NetError::Violation("reserved bit set"));
    }
    if header.mask.is_some() != (role == Role::Server) {
        return Err(NetError::Violation(
            "expected masked frames from a client and unmasked frames from a server",
        ));
    }
    match header.opcode {
        OpCode::Control(_) if !header.is_final => {
            Err(NetError::Violation("fragmented control frame"))
        }
        OpCode::Control(_) if len > MAX_CONTROL as u64 => {
            Err(NetError::Violation("control frame over 125 bytes"))
        }
        _ => Ok(Some((header, len, cursor.position() as usize))),
    }
}

fn control_frame(control: Control, payload: Bytes) -> Result<Option<Incoming>, NetError> {
    match control {
        Control::Ping => Ok(Some(Incoming::Ping(payload))),
        Control::Pong => Ok(None),
        Control::Close => Ok(Some(Incoming::Close(close_reason(&payload)?))),
        Control::Reserved(_) => Err(NetError::Violation("unknown opcode")),
    }
}

/// Reads the payload of a close frame.
fn close_reason(mut payload: &[u8]) -> Result<CloseReason, NetError> {
    match payload.len() {
        0 => return Ok(CloseReason::from_wire(1005, "")),
        1 => return Err(NetError::Violation("incomplete close code")),
        _ => {}
    }
    let code = payload.get_u16();
    if !CloseCode::from(code).is_allowed() {
        return Err(NetError::Violation("forbidden close code"));
    }
    let text = core::str::from_utf8(payload).map_err(|_| NetError::NotUtf8)?;
    Ok(CloseReason::from_wire(code, text))
}

/// Appends a text message.
pub(super) fn encode_frame(role: Role, frame: Frame, write_queue: &mut WriteQueue) {
    encode(role, OpCode::Data(Data::Text), frame.into_bytes(), write_queue);
}

/// Appends a pong.
pub(super) fn encode_pong(role: Role, payload: Bytes, write_queue: &mut WriteQueue) {
    encode(role, OpCode::Control(Control::Pong), payload, write_queue);
}

/// Appends a close frame.
pub(super) fn encode_close(role: Role, reason: &CloseReason, write_queue: &mut WriteQueue) {
    let payload = close_payload(reason).into();
    encode(role, OpCode::Control(Control::Close), payload, write_queue);
}

fn close_payload(reason: &CloseReason) -> Vec<u8> {
    let mut payload = Vec::new();
    let code = reason.code();
    if CloseCode::from(code).is_allowed() {
        let text = reason.text();
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(&text.as_bytes()[..text.floor_char_boundary(MAX_CONTROL - 2)]);
    }
    payload
}

fn encode(role: Role, opcode: OpCode, payload: Bytes, write_queue: &mut WriteQueue) {
    let mask = (role == Role::Client).then(rand::random);
    let header = FrameHeader { opcode, mask, ..FrameHeader::default() };
    let mut head = [0; 14];
    let len = payload.len() as u64;
    let mut rest = &mut head[..];
    header.format(len, &mut rest).expect("a header has at most 14 bytes");
    write_queue.reserve(header.len(len) + payload.len());
    write_queue.copy(&head[..header.len(len)]);
    match mask {
        None => write_queue.share(payload),
        Some(mask) => write_queue.copy_with(&payload, |bytes| apply_mask(bytes, mask)),
    }
}

/// Masks or unmasks.
fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// A frame from a server, borrowed from the buffer that it was received in.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerFrame<'a> {
    /// A text or binary message. It is not checked to be UTF-8.
    Message(&'a [u8]),
    /// A ping, which [`encode_client_pong`] answers with the same payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// A close frame.
    Close(CloseReason),
}

/// Decodes the first frame in `bytes`, as a client. Returns the frame and its length in bytes, or
/// `None` if the frame is incomplete.
///
/// Nothing is copied, and messages are not reassembled.
///
/// # Errors
/// [`NetError::Violation`] if the frame is not valid or is a fragment of a message,
/// [`NetError::NotUtf8`] if the reason of a close frame is not UTF-8.
pub fn decode_server_frame(bytes: &[u8]) -> Result<Option<(ServerFrame<'_>, usize)>, NetError> {
    let Some((header, len, read)) = parse_header(Role::Client, bytes)? else { return Ok(None) };
    let end = usize::try_from(len).ok().and_then(|len| len.checked_add(read));
    let Some(payload) = end.and_then(|end| bytes.get(read..end)) else { return Ok(None) };
    let frame = match header.opcode {
        OpCode::Data(Data::Text | Data::Binary) if header.is_final => ServerFrame::Message(payload),
        OpCode::Data(_) => return Err(NetError::Violation("fragmented message")),
        OpCode::Control(Control::Ping) => ServerFrame::Ping(payload),
        OpCode::Control(Control::Pong) => ServerFrame::Pong,
        OpCode::Control(Control::Close) => ServerFrame::Close(close_reason(payload)?),
        OpCode::Control(Control::Reserved(_)) => return Err(NetError::Violation("unknown opcode")),
    };
    Ok(Some((frame, read + payload.len())))
}

/// Appends a text message of a client to `out`.
pub fn encode_client_text(text: &[u8], out: &mut Vec<u8>) {
    encode_client(OpCode::Data(Data::Text), text, out);
}

/// Appends a client's answer to a ping to `out`.
pub fn encode_client_pong(payload: &[u8], out: &mut Vec<u8>) {
    encode_client(OpCode::Control(Control::Pong), payload, out);
}

/// Appends a close frame of a client to `out`.
pub fn encode_client_close(reason: &CloseReason, out: &mut Vec<u8>) {
    encode_client(OpCode::Control(Control::Close), &close_payload(reason), out);
}

fn encode_client(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    let mask = rand::random();
    let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
    header.format(payload.len() as u64, out).expect("a vector can be written to");
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_frames_of_every_header_length_are_decoded_in_place() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let text = vec![b'x'; len];
            let mut bytes = Vec::new();
            let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
            header.format(len as u64, &mut bytes).expect("a header");
            bytes.extend_from_slice(&text);
            let last = bytes.len() - 1;
            assert_eq!(decode_server_frame(&bytes[..last]).expect("a prefix"), None, "{len}");
            bytes.push(0x81);
            let decoded = decode_server_frame(&bytes).expect("a frame");
            assert_eq!(decoded, Some((ServerFrame::Message(&text), last + 1)), "{len}");
        }
    }

    #[test]
    fn invalid_server_frames_are_errors() {
        for (bytes, name) in [
            (&[0x01, 0][..], "a fragment"),
            (&[0x80, 0], "a continuation"),
            (&[0xc1, 0], "a reserved bit"),
            (&[0x81, 0x80, 0, 0, 0, 0], "a mask"),
            (&[0x88, 1, 3], "half of a close code"),
        ] {
            assert!(decode_server_frame(bytes).is_err(), "{name}");
        }
        let close = [0x88, 5, 3, 0xe8, b'b', b'y', b'e'];
        let reason = CloseReason::from_wire(1000, "bye");
        let decoded = decode_server_frame(&close).expect("a close frame");
        assert_eq!(decoded, Some((ServerFrame::Close(reason), 7)));
    }

    #[test]
    fn large_messages_wait_until_they_are_admitted() {
        let limits = FrameLimits { max_frame: 100, announce_from: 10, ..FrameLimits::default() };
        let mut decoder = Decoder::new(Role::Client, limits);
        let mut inbox = BytesMut::new();
        let mut receive = |decoder: &mut Decoder, head: u8, text: &[u8]| {
            inbox.extend_from_slice(&[head, u8::try_from(text.len()).expect("a short text")]);
            inbox.extend_from_slice(text);
            let decoded = decoder.decode(&mut inbox);
            let announced = decoder.announced().map(|frame| (frame.bytes, frame.may_grow));
            decoder.admit(&mut inbox);
            (announced, decoded.and_then(|first| Ok(first.or(decoder.decode(&mut inbox)?))))
        };
        let frame = |text: &str| Some(Incoming::Frame(text.into()));
        let (announced, decoded) = receive(&mut decoder, 0x81, b"0123456789");
        assert_eq!((announced, decoded.expect("a frame")), (None, frame("0123456789")));
        let (announced, decoded) = receive(&mut decoder, 0x81, b"0123456789a");
        assert_eq!((announced, decoded.expect("ok")), (Some((11, false)), frame("0123456789a")));
        // The parts of a fragmented message count together.
        assert_eq!(receive(&mut decoder, 0x01, b"01234567").0, None);
        assert_eq!(decoder.partial_bytes(0), 8);
        assert_eq!(receive(&mut decoder, 0x00, b"89ab").0, Some((12, true)));
        let (announced, decoded) = receive(&mut decoder, 0x80, b"c");
        assert_eq!((announced, decoded.expect("ok")), (Some((13, false)), frame("0123456789abc")));
        let (announced, decoded) = receive(&mut decoder, 0x81, &[b'x'; 101]);
        assert!(announced.is_none() && matches!(decoded, Err(NetError::FrameTooLarge { .. })));
    }

    #[test]
    fn client_frames_are_decoded_by_the_server() {
        let mut bytes = Vec::new();
        encode_client_text(b"text", &mut bytes);
        encode_client_close(&CloseReason::Done, &mut bytes);
        let (mut decoder, mut inbox) =
            (Decoder::new(Role::Server, FrameLimits::default()), BytesMut::from(&bytes[..]));
        let message = decoder.decode(&mut inbox).expect("a message");
        assert_eq!(message, Some(Incoming::Frame("text".into())));
        let close = decoder.decode(&mut inbox).expect("a close frame");
        assert!(matches!(close, Some(Incoming::Close(_))) && inbox.is_empty());
    }
}
