//! Decoding of messages in one pass over their JSON.

use super::{
    CompactId, Connect, Connected, DecodeError, ErrorMessage, ExceededLimit, Message,
    MessageLimits, RefusedEntry, Sync, SyncEntry,
};
use crate::{
    action::{Action, ActionError, NodeId, Subprotocol},
    excerpt::name_excerpt,
    json::{Cursor, Json, JsonError, JsonObject, JsonProblem, decode as decode_string, key_is},
    time::WallTime,
};

/// Decodes one message. It accepts the shapes that the reference accepts, and rejects a `sync` if
/// one of its entries is invalid. Entries that only exceed a limit are in [`Sync::refused`].
///
/// O(length). Actions keep their text; only their `type` is read.
///
/// # Errors
/// [`DecodeError`], with the response to the sender.
///
/// ```
/// use logux::wire::{Message, MessageLimits, decode};
/// assert_eq!(decode(r#"["ping",5]"#, &MessageLimits::default())?, Message::Ping { added: 5 });
/// # Ok::<(), logux::wire::DecodeError>(())
/// ```
pub fn decode(text: &str, limits: &MessageLimits) -> Result<Message, DecodeError> {
    if text.len() > limits.message_bytes {
        return Err(DecodeError::LimitExceeded(ExceededLimit::MessageBytes(limits.message_bytes)));
    }
    let mut reader =
        Reader { cursor: Cursor::with_depth(text, limits.depth), limits, last_node: None };
    reader.message().map_err(|error| match error {
        ReadError::UnknownMessage(name) => DecodeError::unknown_message(&name),
        ReadError::Limit(limit) => DecodeError::LimitExceeded(limit),
        ReadError::Shape(why) => {
            // The response differs for invalid JSON, so the rest of the text is checked too.
            let mut cursor = Cursor::with_depth(text, limits.depth);
            match cursor.value().and_then(|_| cursor.end()) {
                Err(JsonError { problem: JsonProblem::TooDeep(limit), .. }) => {
                    DecodeError::LimitExceeded(ExceededLimit::Depth(limit))
                }
                Err(error) => DecodeError::wrong_format(text, false, error.to_string()),
                Ok(()) => DecodeError::wrong_format(text, true, why),
            }
        }
    })
}

/// The first error that the reader finds.
enum ReadError {
    Shape(String),
    UnknownMessage(String),
    Limit(ExceededLimit),
}

impl From<JsonError> for ReadError {
    fn from(error: JsonError) -> Self {
        match error.problem {
            JsonProblem::TooDeep(limit) => Self::Limit(ExceededLimit::Depth(limit)),
            _ => Self::Shape(error.to_string()),
        }
    }
}

impl From<ActionError> for ReadError {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::Json(error) => error.into(),
            other => Self::Shape(other.to_string()),
        }
    }
}

struct Reader<'a, 'l> {
    cursor: Cursor<'a>,
    limits: &'l MessageLimits,
    /// The previous node id: the next one is often the same, and then shares its text.
    last_node: Option<NodeId>,
}

/// A lower estimate of the size of an action with its meta, to reserve memory for a `sync` message.
const MIN_ENTRY_BYTES: usize = 48;

/// The longest node id that is repeated in an answer, in bytes.
const MAX_REPEATED_ID: usize = 4 * 1024;

/// An action of a `sync` message.
enum ReadAction {
    Within(Action),
    /// The type of an action that exceeds a limit.
    Exceeding(String, ExceededLimit),
}

/// The meta of an action of a `sync` message.
struct EntryMeta {
    /// `None` if the id is too long to repeat; then there is a limit.
    id: Option<CompactId>,
    time: i64,
    subprotocol: Option<Subprotocol>,
    extra: JsonObject,
    limit: Option<ExceededLimit>,
}

struct ReadId {
    id: Option<CompactId>,
    limit: Option<ExceededLimit>,
}

fn missing(key: &str) -> ReadError {
    ReadError::Shape(format!("expected {key} in the meta of an action"))
}

/// The options of `connect` and `connected`.
#[derive(Default)]
struct Options {
    token: Option<String>,
    subprotocol: Option<Subprotocol>,
}

impl<'a> Reader<'a, '_> {
    fn message(&mut self) -> Result<Message, ReadError> {
        self.cursor.punctuation(b'[', "an array")?;
        let name = self.cursor.string()?;
        let message = match &*name {
            "connect" => self.connect()?,
            "connected" => self.connected()?,
            "ping" => Message::Ping { added: self.next_count()? },
            "pong" => Message::Pong { added: self.next_count()? },
            "sync" => self.sync()?,
            "synced" => Message::Synced { added: self.next_count()? },
            "error" => self.error()?,
            "debug" => self.debug()?,
            "headers" => {
                self.comma()?;
                Message::Headers { headers: self.json_object()? }
            }
            _ => {
                // Invalid JSON takes precedence over an unknown name.
                while self.cursor.take(b',') {
                    self.cursor.value()?;
                }
                self.close()?;
                return Err(ReadError::UnknownMessage(name.into_owned()));
            }
        };
        self.close()?;
        Ok(message)
    }

    fn close(&mut self) -> Result<(), ReadError> {
        self.cursor.punctuation(b']', "the end of the message")?;
        Ok(self.cursor.end()?)
    }

    fn comma(&mut self) -> Result<(), ReadError> {
        Ok(self.cursor.punctuation(b',', "another item of the message")?)
    }

    fn connect(&mut self) -> Result<Message, ReadError> {
        self.comma()?;
        let protocol = self.number()?;
        self.comma()?;
        let node = self.sender()?;
        let synced = self.next_count()?;
        let Options { token, subprotocol } = self.options()?;
        Ok(Message::Connect(Connect { protocol, node, synced, token, subprotocol }))
    }

    fn connected(&mut self) -> Result<Message, ReadError> {
        self.comma()?;
        let protocol = self.number()?;
        self.comma()?;
        let node = self.sender()?;
        self.comma()?;
        self.cursor.punctuation(b'[', "two times")?;
        let received = self.time()?;
        self.comma()?;
        let sent = self.time()?;
        self.cursor.punctuation(b']', "the end of the two times")?;
        let Options { token, subprotocol } = self.options()?;
        Ok(Message::Connected(Connected { protocol, node, received, sent, token, subprotocol }))
    }

    fn options(&mut self) -> Result<Options, ReadError> {
        let mut options = Options::default();
        if self.cursor.take(b',') {
            self.cursor.object(|cursor, key| {
                if key_is(key, "token") {
                    options.token = match cursor.peek() {
                        Some(b'n') => cursor.value().map(|_| None)?,
                        _ => Some(cursor.string()?.into_owned()),
                    };
                } else if key_is(key, "subprotocol") {
                    options.subprotocol = subprotocol(cursor)?;
                } else {
                    cursor.value()?;
                }
                Ok::<_, ReadError>(())
            })?;
        }
        Ok(options)
    }

    fn error(&mut self) -> Result<Message, ReadError> {
        self.comma()?;
        let kind = self.cursor.string()?.into_owned();
        let options =
            if self.cursor.take(b',') { Some(Json::checked(self.cursor.value()?)) } else { None };
        Ok(Message::Error(ErrorMessage { kind, options }))
    }

    fn debug(&mut self) -> Result<Message, ReadError> {
        self.comma()?;
        if self.cursor.string()? != "error" {
            return Err(ReadError::Shape("expected \"error\" as the kind of `debug`".into()));
        }
        self.comma()?;
        Ok(Message::Debug { text: self.cursor.string()?.into_owned() })
    }

    fn json_object(&mut self) -> Result<Json, ReadError> {
        if self.cursor.peek() != Some(b'{') {
            return Ok(self.cursor.expected("an object")?);
        }
        Ok(Json::checked(self.cursor.value()?))
    }

    fn sync(&mut self) -> Result<Message, ReadError> {
        let added = self.next_count()?;
        let capacity = (self.cursor.remaining() / MIN_ENTRY_BYTES).min(256);
        let (mut entries, mut refused) = (Vec::with_capacity(capacity), Vec::new());
        while self.cursor.take(b',') {
            if entries.len() + refused.len() == self.limits.actions() {
                return Err(ReadError::Limit(ExceededLimit::Actions(self.limits.actions())));
            }
            let action = self.action()?;
            self.comma()?;
            let EntryMeta { id, time, subprotocol, extra, limit } = self.meta()?;
            match (action, limit) {
                (ReadAction::Within(action), None) => match id {
                    Some(id) => entries.push(SyncEntry { action, id, time, subprotocol, extra }),
                    None => return Err(missing("`id`")),
                },
                (ReadAction::Within(action), Some(limit)) => {
                    refused.push(RefusedEntry {
                        id,
                        kind: name_excerpt(action.kind()).into_owned(),
                        time,
                        limit,
                    });
                }
                (ReadAction::Exceeding(kind, limit), _) => {
                    refused.push(RefusedEntry { id, kind, time, limit });
                }
            }
        }
        Ok(Message::Sync(Sync { added, entries, refused }))
    }

    fn action(&mut self) -> Result<ReadAction, ReadError> {
        let start = self.cursor.clone();
        let max_bytes = self.limits.action_bytes;
        match Action::skip(&mut self.cursor) {
            Ok((text, kind)) if text.len() > max_bytes => {
                let kind = decode_string(kind).ok_or(ActionError::NoType)?;
                Ok(ReadAction::Exceeding(
                    name_excerpt(&kind).into_owned(),
                    ExceededLimit::ActionBytes(max_bytes),
                ))
            }
            Ok((text, kind)) => Ok(ReadAction::Within(Action::within(text, kind)?)),
            Err(ActionError::Json(JsonError { problem: JsonProblem::TooDeep(limit), .. })) => {
                self.cursor = start;
                let (_, kind) = self.cursor.at_any_depth(Action::skip)?;
                let kind = decode_string(kind).ok_or(ActionError::NoType)?;
                Ok(ReadAction::Exceeding(
                    name_excerpt(&kind).into_owned(),
                    ExceededLimit::Depth(limit),
                ))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn meta(&mut self) -> Result<EntryMeta, ReadError> {
        let (mut id, mut time, mut version, mut limit) = (None, None, None, None);
        let mut extra = JsonObject::default();
        self.cursor.punctuation(b'{', "an object")?;
        let mut more = !self.cursor.take(b'}');
        while more {
            let key = self.cursor.key()?;
            if key_is(key, "id") {
                let read = self.id()?;
                limit = limit.or(read.limit);
                id = Some(read.id);
            } else if key_is(key, "time") {
                time = Some(self.time()?);
            } else if key_is(key, "subprotocol") {
                version = subprotocol(&mut self.cursor)?;
            } else {
                let Some(name) = decode_string(key) else {
                    return Err(ReadError::Shape(
                        "expected meta keys without lone surrogates".into(),
                    ));
                };
                let start = self.cursor.clone();
                match self.cursor.value() {
                    Ok(value) => extra.set(&*name, Json::checked(value)),
                    Err(JsonError { problem: JsonProblem::TooDeep(depth), .. }) => {
                        self.cursor = start;
                        self.cursor.at_any_depth(Cursor::value)?;
                        limit = limit.or(Some(ExceededLimit::Depth(depth)));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            more = self.cursor.take(b',');
            if !more {
                self.cursor.punctuation(b'}', "a comma or the closing bracket")?;
            }
        }
        let id = id.ok_or_else(|| missing("`id`"))?;
        let time = time.ok_or_else(|| missing("`time`"))?;
        Ok(EntryMeta { id, time, subprotocol: version, extra, limit })
    }

    fn id(&mut self) -> Result<ReadId, ReadError> {
        let within = |id| Ok(ReadId { id: Some(id), limit: None });
        if !self.cursor.take(b'[') {
            return within(CompactId::Time(self.time()?));
        }
        let time = self.time()?;
        self.comma()?;
        if self.cursor.peek() != Some(b'"') {
            let id = CompactId::Own(time, self.number()?);
            self.cursor.punctuation(b']', "the end of the id")?;
            return within(id);
        }
        let start = self.cursor.clone();
        let text = self.cursor.string()?;
        let length = text.len();
        let node = if length > MAX_REPEATED_ID.max(self.limits.id_bytes) {
            None
        } else {
            self.cursor = start;
            Some(self.node()?)
        };
        self.comma()?;
        let number = self.number()?;
        self.cursor.punctuation(b']', "the end of the id")?;
        let max_bytes = self.limits.id_bytes;
        Ok(ReadId {
            id: node.map(|node| CompactId::Full(time, node, number)),
            limit: (length > max_bytes).then_some(ExceededLimit::IdBytes(max_bytes)),
        })
    }

    /// Reads the node id of the sender, which must not exceed its limit.
    fn sender(&mut self) -> Result<NodeId, ReadError> {
        let node = self.node()?;
        if node.as_str().len() > self.limits.id_bytes {
            return Err(ReadError::Limit(ExceededLimit::IdBytes(self.limits.id_bytes)));
        }
        Ok(node)
    }

    fn node(&mut self) -> Result<NodeId, ReadError> {
        let text = self.cursor.string()?;
        if let Some(last) = self.last_node.as_ref().filter(|last| last.as_str() == text) {
            return Ok(last.clone());
        }
        let node = NodeId::new(&*text).map_err(|error| ReadError::Shape(error.to_string()))?;
        self.last_node = Some(node.clone());
        Ok(node)
    }

    fn time(&mut self) -> Result<i64, ReadError> {
        let time = self.cursor.integer()?;
        // A relative time can be as long as the whole range of a `Date`.
        if time.unsigned_abs() > 2 * WallTime::MAX.as_millis().unsigned_abs() {
            return Err(ReadError::Shape(
                "expected times within the range of a JavaScript Date".into(),
            ));
        }
        Ok(time)
    }

    fn number(&mut self) -> Result<u32, ReadError> {
        let number = self.cursor.integer()?;
        u32::try_from(number).map_err(|_| {
            ReadError::Shape(format!("expected a number from 0 to 4294967295, got {number}"))
        })
    }

    fn next_count(&mut self) -> Result<u64, ReadError> {
        self.comma()?;
        let number = self.cursor.integer()?;
        u64::try_from(number)
            .map_err(|_| ReadError::Shape(format!("expected a number of at least 0, got {number}")))
    }
}

fn subprotocol(cursor: &mut Cursor<'_>) -> Result<Option<Subprotocol>, ReadError> {
    match cursor.peek() {
        Some(b'n') => {
            cursor.value()?;
            Ok(None)
        }
        Some(b'"') => Ok(Some(Subprotocol::SemVer(cursor.string()?.into()))),
        _ => {
            // As in JavaScript, any number is a version.
            let number = cursor.number()?;
            let version = number.parse().ok().and_then(Subprotocol::from_number);
            version.map(Some).ok_or_else(|| {
                ReadError::Shape(format!("expected a finite number as subprotocol, got {number}"))
            })
        }
    }
}
