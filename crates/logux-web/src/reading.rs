//! Reads the JSON of calls.

use logux::Json;

use crate::{
    call::{ActionMeta, Call, CallError, Device, Start},
    fields::Fields,
    saved::SavedChange,
};

impl Start {
    /// Reads the JSON of a start.
    ///
    /// # Errors
    /// If it is not an object with these fields, or a saved change cannot be read.
    pub fn read(json: &str) -> Result<Self, CallError> {
        let fields = Fields::new(json)?;
        Ok(Self {
            node: fields.read("node")?,
            token: fields.optional("token")?,
            subprotocol: fields.optional("subprotocol")?.unwrap_or_default(),
            saved: saved(&fields)?,
            follows: fields.optional("follows")?.unwrap_or_default(),
        })
    }
}

fn meta(fields: &Fields) -> Result<ActionMeta, CallError> {
    let Some(meta) = fields.optional::<Json>("meta")? else { return Ok(ActionMeta::default()) };
    let fields = Fields::new(meta.as_str())?;
    Ok(ActionMeta {
        id: fields.optional("id")?,
        time: fields.optional("time")?,
        reasons: fields.optional("reasons")?.unwrap_or_default(),
        indexes: fields.optional("indexes")?.unwrap_or_default(),
        keep_last: fields.optional("keepLast")?,
    })
}

fn saved(fields: &Fields) -> Result<Vec<SavedChange>, CallError> {
    let saved = fields.optional::<Vec<Json>>("saved")?.unwrap_or_default();
    saved.iter().map(SavedChange::read).collect()
}

impl Call {
    /// Reads a call: its name, or an object whose only field has the name, and the fields of the
    /// call as its value. Names begin with a small letter.
    ///
    /// # Errors
    /// If there is no such call, or a field is missing or has another type.
    pub fn read(json: &str) -> Result<Self, CallError> {
        if let Some(name) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            return match name {
                "resume" => Ok(Self::Resume),
                "pause" => Ok(Self::Pause),
                "opened" => Ok(Self::Opened),
                "closed" => Ok(Self::Closed),
                "connectFailed" => Ok(Self::ConnectFailed),
                "wake" => Ok(Self::Wake),
                "generateId" => Ok(Self::GenerateId),
                "observeLog" => Ok(Self::ObserveLog),
                "server" => Ok(Self::Server),
                "entries" => Ok(Self::Entries),
                "unconfirmed" => Ok(Self::Unconfirmed),
                _ => Err(CallError::Unknown(name.to_owned())),
            };
        }
        let call = Fields::new(json)?;
        let (name, fields) = call.only().ok_or_else(|| CallError::Unknown(String::new()))?;
        let fields = Fields::new(fields.as_str())?;
        let text = |name: &str| fields.read::<String>(name);
        let channel = || text("channel");
        Ok(match name {
            "frame" => Self::Frame { frame: text("frame")? },
            "followerOpened" => Self::FollowerOpened { tab: text("tab")? },
            "followerFrame" => Self::FollowerFrame { tab: text("tab")?, frame: text("frame")? },
            "followerClosed" => Self::FollowerClosed { tab: text("tab")? },
            "lead" => Self::Lead { token: fields.optional("token")?, saved: saved(&fields)? },
            "device" => Self::Device { device: Device::read(&text("device")?)? },
            "setToken" => Self::SetToken { token: fields.optional("token")? },
            "sync" => Self::Sync { action: fields.json("action")?, meta: meta(&fields)? },
            "add" => Self::Add { action: fields.json("action")?, meta: meta(&fields)? },
            "open" => Self::Open { kind: text("kind")?, id: text("id")? },
            "close" => Self::Close { channel: channel()? },
            "openRecords" => {
                Self::OpenRecords { plural: text("plural")?, filter: fields.json("filter")? }
            }
            "openRecord" => Self::OpenRecord { plural: text("plural")?, id: text("id")? },
            "listChanges" => Self::ListChanges { list: fields.read("list")? },
            "closeList" => Self::CloseList { list: fields.read("list")? },
            "editRecord" => {
                Self::EditRecord { plural: text("plural")?, action: fields.json("action")? }
            }
            "get" => Self::Get { channel: channel()?, path: text("path")? },
            "info" => Self::Info { channel: channel()? },
            "edit" => {
                let (ops, watch) = (fields.read("ops")?, fields.optional("watch")?);
                Self::Edit { channel: channel()?, ops, watch }
            }
            "create" => Self::Create { channel: channel()? },
            "delete" => Self::Delete { channel: channel()? },
            "undo" => Self::Undo { channel: channel()? },
            "redo" => Self::Redo { channel: channel()? },
            "closeStep" => Self::CloseStep { channel: channel()? },
            "select" => {
                Self::Select { channel: channel()?, selection: fields.optional("selection")? }
            }
            "setPresence" => {
                Self::SetPresence { channel: channel()?, state: fields.optional("state")? }
            }
            "presence" => Self::Presence { channel: channel()? },
            "anchor" => {
                let (path, index) = (text("path")?, fields.read("index")?);
                Self::Anchor { channel: channel()?, path, index }
            }
            "anchorIndex" => {
                let (path, anchor) = (text("path")?, fields.json("anchor")?);
                Self::AnchorIndex { channel: channel()?, path, anchor }
            }
            "watchText" => Self::WatchText { channel: channel()?, path: text("path")? },
            "textChanges" => Self::TextChanges { watch: fields.read("watch")? },
            "unwatchText" => Self::UnwatchText { watch: fields.read("watch")? },
            "authors" => Self::Authors { channel: channel()?, path: text("path")? },
            "children" => {
                let (path, parent) = (text("path")?, fields.optional("parent")?);
                Self::Children { channel: channel()?, path, parent }
            }
            "history" => Self::History { channel: channel()? },
            "stateAt" => Self::StateAt { channel: channel()?, id: text("id")? },
            _ => return Err(CallError::Unknown(name.to_owned())),
        })
    }
}

impl Device {
    fn read(name: &str) -> Result<Self, CallError> {
        match name {
            "online" => Ok(Self::Online),
            "asleep" => Ok(Self::Asleep),
            "visible" => Ok(Self::Visible),
            _ => Err(CallError::Unknown(name.to_owned())),
        }
    }
}
