//! RFC 6455 without I/O: bytes to messages, messages to bytes.

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
    CloseReason, Frame, NetError,
    bytes_io::{Outbox, take},
};

/// The longest payload of a control frame, in bytes.
const MAX_CONTROL: usize = 125;

/// What the peer sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Frame(Frame),
    Ping(Bytes),
    Close(CloseReason),
}

/// Takes messages apart. It holds what has arrived of a message, never more than the limit and one read.
#[derive(Debug)]
pub(super) struct Decoder {
    role: Role,
    max_frame: usize,
    header: Option<(FrameHeader, usize)>,
    /// The pieces so far of a message in several frames.
    fragments: Option<BytesMut>,
}

impl Decoder {
    /// A decoder for the end that plays `role`.
    pub(super) const fn new(role: Role, max_frame: usize) -> Self {
        Self { role, max_frame, header: None, fragments: None }
    }

    /// Whether nothing of a message has arrived yet.
    pub(super) const fn is_between_messages(&self) -> bool {
        self.header.is_none() && self.fragments.is_none()
    }

    /// The next message in `inbox`, or `None` when more bytes are needed.
    pub(super) fn decode(&mut self, inbox: &mut BytesMut) -> Result<Option<Incoming>, NetError> {
        loop {
            let (header, len) = match self.header.take() {
                Some(header) => header,
                None => match self.decode_header(inbox)? {
                    Some(header) => header,
                    None => return Ok(None),
                },
            };
            if inbox.len() < len {
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

    /// Reads a header and refuses what can be refused before the payload is there.
    fn decode_header(
        &self,
        inbox: &mut BytesMut,
    ) -> Result<Option<(FrameHeader, usize)>, NetError> {
        let mut cursor = Cursor::new(&inbox[..]);
        let parsed =
            FrameHeader::parse(&mut cursor).map_err(|_| NetError::Violation("unknown opcode"))?;
        let Some((header, len)) = parsed else { return Ok(None) };
        let read = cursor.position() as usize;
        inbox.advance(read);
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(NetError::Violation("a reserved bit is set"));
        }
        if header.mask.is_some() != (self.role == Role::Server) {
            return Err(NetError::Violation(
                "frames of clients are masked and those of servers are not",
            ));
        }
        let room = match header.opcode {
            OpCode::Control(_) if !header.is_final => {
                return Err(NetError::Violation("a control frame in pieces"));
            }
            OpCode::Control(_) if len > MAX_CONTROL as u64 => {
                return Err(NetError::Violation("a large control frame"));
            }
            OpCode::Control(_) => MAX_CONTROL,
            OpCode::Data(Data::Continue) => match &self.fragments {
                None => return Err(NetError::Violation("a continuation of nothing")),
                Some(fragments) => self.max_frame - fragments.len(),
            },
            OpCode::Data(_) if self.fragments.is_some() => {
                return Err(NetError::Violation("a message inside a message"));
            }
            OpCode::Data(_) => self.max_frame,
        };
        match usize::try_from(len) {
            Ok(len) if len <= room => Ok(Some((header, len))),
            _ => Err(NetError::FrameTooLarge { limit: self.max_frame }),
        }
    }

    /// Text and binary are the same here: both have to be UTF-8.
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
        let frame = Frame::try_from(whole.freeze()).map_err(|_| NetError::NotUtf8)?;
        Ok(Some(Incoming::Frame(frame)))
    }
}

fn control_frame(control: Control, mut payload: Bytes) -> Result<Option<Incoming>, NetError> {
    match control {
        Control::Ping => Ok(Some(Incoming::Ping(payload))),
        Control::Pong => Ok(None),
        Control::Close if payload.is_empty() => {
            Ok(Some(Incoming::Close(CloseReason::from_wire(1005, ""))))
        }
        Control::Close if payload.len() == 1 => Err(NetError::Violation("half of a close code")),
        Control::Close => {
            let code = payload.get_u16();
            if !CloseCode::from(code).is_allowed() {
                return Err(NetError::Violation("a close code that may not be sent"));
            }
            let text = core::str::from_utf8(&payload).map_err(|_| NetError::NotUtf8)?;
            Ok(Some(Incoming::Close(CloseReason::from_wire(code, text))))
        }
        Control::Reserved(_) => Err(NetError::Violation("unknown opcode")),
    }
}

/// Appends a text message.
pub(super) fn encode_frame(role: Role, frame: Frame, outbox: &mut Outbox) {
    encode(role, OpCode::Data(Data::Text), frame.into_bytes(), outbox);
}

/// Appends the answer to a ping.
pub(super) fn encode_pong(role: Role, payload: Bytes, outbox: &mut Outbox) {
    encode(role, OpCode::Control(Control::Pong), payload, outbox);
}

/// Appends a goodbye.
pub(super) fn encode_close(role: Role, reason: &CloseReason, outbox: &mut Outbox) {
    let mut payload = Vec::new();
    let code = reason.code();
    if CloseCode::from(code).is_allowed() {
        let text = reason.text();
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(&text.as_bytes()[..text.floor_char_boundary(MAX_CONTROL - 2)]);
    }
    encode(role, OpCode::Control(Control::Close), payload.into(), outbox);
}

fn encode(role: Role, opcode: OpCode, payload: Bytes, outbox: &mut Outbox) {
    let mask = (role == Role::Client).then(rand::random);
    let header = FrameHeader { opcode, mask, ..FrameHeader::default() };
    let mut head = [0; 14];
    let len = payload.len() as u64;
    let mut rest = &mut head[..];
    header.format(len, &mut rest).expect("no header is longer than 14 bytes");
    outbox.make_room(header.len(len) + payload.len());
    outbox.copy(&head[..header.len(len)]);
    match mask {
        None => outbox.share(payload),
        Some(mask) => outbox.copy_with(&payload, |bytes| apply_mask(bytes, mask)),
    }
}

/// Masks and unmasks.
fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}
