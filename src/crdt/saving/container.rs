//! The beginning of a saved state: what it is, its checksum, and its compressed parts.

use std::borrow::Cow;

use miniz_oxide::{deflate::compress_to_vec, inflate::decompress_to_vec_with_limit};

use super::{
    error::{LoadError, damaged},
    reader::StateReader,
    varint::{self, Bytes},
    writer::{StateWriter, Written, write_bytes},
};
use crate::crdt::crdt::Crdt;

/// The first bytes of a saved state. The first one is not ASCII, so that no text begins like this.
const MAGIC: [u8; 4] = [0x93, b'L', b'G', b'X'];
/// The version of the layout.
const FORMAT: u64 = 1;
/// The flag of a compressed text.
const TEXT_DEFLATED: u64 = 1;
/// The flag of a compressed content.
const CONTENT_DEFLATED: u64 = 2;
/// The level of compression: that of zlib by default.
const LEVEL: u8 = 6;
/// The largest part that is compressed, in bytes. A larger one is saved as it is.
const MAX_INFLATED: u64 = 256 << 20;
/// The largest ratio of the Deflate format.
const MAX_RATIO: u64 = 1_032;

/// Saves a state.
pub(in crate::crdt) fn save<C: Crdt>(state: &C, deflate: bool) -> Vec<u8> {
    let mut writer = StateWriter::default();
    state.encode(&mut writer);
    let Written { text, content } = writer.finish();
    Container::write((C::NAME, C::VERSION), &text, &content, deflate)
}

/// Loads a state.
pub(in crate::crdt) fn load<C: Crdt>(bytes: &[u8]) -> Result<C, LoadError> {
    let container = Container::read(bytes)?.check(C::NAME, C::VERSION)?;
    decode(&container.text()?, &container.content()?)
}

/// Loads the text at the beginning of a state.
pub(in crate::crdt) fn load_text<C: Crdt>(bytes: &[u8]) -> Result<String, LoadError> {
    let container = Container::read(bytes)?.check(C::NAME, C::VERSION)?;
    container.text().map(Cow::into_owned)
}

/// Reads a state from the two parts of its saved form.
pub(crate) fn decode<C: Crdt>(text: &str, content: &[u8]) -> Result<C, LoadError> {
    let mut reader = StateReader::new(text, content)?;
    let state = C::decode(&mut reader)?;
    reader.end().map(|()| state)
}

/// A saved state that was not decoded yet: the name and the version of its type, and two parts,
/// the text that a reader can show first, and everything else.
struct Container<'a> {
    name: &'a str,
    version: u64,
    text: Part<'a>,
    content: Part<'a>,
}

/// A part, with its length before the compression if it is compressed.
struct Part<'a> {
    stored: &'a [u8],
    inflated: Option<u64>,
}

impl<'a> Container<'a> {
    /// Writes a saved state. Each part is compressed if `deflate` is `true` and it becomes shorter.
    fn write((name, version): (&str, u32), text: &str, content: &[u8], deflate: bool) -> Vec<u8> {
        let deflated = |part: &[u8]| {
            let is_small = part.len() as u64 <= MAX_INFLATED;
            let deflated = (deflate && is_small).then(|| compress_to_vec(part, LEVEL));
            deflated.filter(|deflated| deflated.len() < part.len())
        };
        let parts = [text.as_bytes(), content].map(|part| (part, deflated(part)));
        let flags = [TEXT_DEFLATED, CONTENT_DEFLATED].into_iter().zip(&parts);
        let flags = flags.filter(|(_, (_, deflated))| deflated.is_some()).map(|(flag, _)| flag);
        let mut out = Vec::with_capacity(text.len() + content.len() + name.len() + 32);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; 4]);
        varint::write(&mut out, FORMAT);
        varint::write(&mut out, flags.sum());
        write_bytes(&mut out, name.as_bytes());
        varint::write(&mut out, version.into());
        for (part, deflated) in &parts {
            if deflated.is_some() {
                varint::write(&mut out, part.len() as u64);
            }
            write_bytes(&mut out, deflated.as_deref().unwrap_or(part));
        }
        let checksum = crc32fast::hash(&out[8..]);
        out[4..8].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Checks the beginning, the checksum and the layout of a saved state.
    fn read(bytes: &'a [u8]) -> Result<Self, LoadError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(LoadError::NotSaved)?;
        let (expected, rest) = rest.split_first_chunk().ok_or(LoadError::NotSaved)?;
        let (expected, found) = (u32::from_le_bytes(*expected), crc32fast::hash(rest));
        if expected != found {
            return Err(LoadError::Checksum { expected, found });
        }
        let mut bytes = Bytes(rest);
        match bytes.varint()? {
            FORMAT => {}
            found => return Err(LoadError::AnotherFormat { expected: FORMAT, found }),
        }
        let flags = bytes.varint()?;
        if flags & !(TEXT_DEFLATED | CONTENT_DEFLATED) != 0 {
            return Err(damaged("known flags"));
        }
        let name = bytes.string()?;
        let version = bytes.varint()?;
        let text = Part::read(&mut bytes, flags & TEXT_DEFLATED != 0)?;
        let content = Part::read(&mut bytes, flags & CONTENT_DEFLATED != 0)?;
        bytes.end()?;
        Ok(Self { name, version, text, content })
    }

    /// Checks that the state is one of this type in this version.
    fn check(self, name: &'static str, version: u32) -> Result<Self, LoadError> {
        if self.name != name {
            return Err(LoadError::AnotherType { expected: name, found: self.name.to_owned() });
        }
        if self.version != u64::from(version) {
            let found = self.version;
            return Err(LoadError::AnotherVersion { expected: version, found });
        }
        Ok(self)
    }

    /// Returns the text. O(its length).
    fn text(&self) -> Result<Cow<'a, str>, LoadError> {
        let not_utf8 = || damaged("a text in UTF-8");
        match self.text.inflate()? {
            Cow::Borrowed(text) => {
                core::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| not_utf8())
            }
            Cow::Owned(text) => String::from_utf8(text).map(Cow::Owned).map_err(|_| not_utf8()),
        }
    }

    /// Returns everything but the text. O(its length).
    fn content(&self) -> Result<Cow<'a, [u8]>, LoadError> {
        self.content.inflate()
    }
}

impl<'a> Part<'a> {
    fn read(bytes: &mut Bytes<'a>, is_deflated: bool) -> Result<Self, LoadError> {
        let inflated = if is_deflated { Some(bytes.varint()?) } else { None };
        let stored = bytes.with_length()?;
        if let Some(inflated) = inflated {
            if inflated > MAX_INFLATED {
                return Err(LoadError::TooLong { bytes: inflated, limit: MAX_INFLATED });
            }
            if inflated > stored.len() as u64 * MAX_RATIO {
                return Err(damaged("the length of compressed bytes"));
            }
        }
        Ok(Self { stored, inflated })
    }

    /// Returns the bytes before the compression. The decompression begins with a small buffer, so
    /// that it needs no more memory than there are bytes.
    fn inflate(&self) -> Result<Cow<'a, [u8]>, LoadError> {
        let Some(length) = self.inflated else { return Ok(Cow::Borrowed(self.stored)) };
        let limit = usize::try_from(length).map_err(|_| damaged("compressed bytes"))?;
        let inflated = decompress_to_vec_with_limit(self.stored, limit);
        let inflated = inflated.map_err(|_| damaged("compressed bytes"))?;
        if inflated.len() == limit {
            Ok(Cow::Owned(inflated))
        } else {
            Err(damaged("the length of compressed bytes"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(deflate: bool) -> Vec<u8> {
        Container::write(("note", 3), &"text ".repeat(50), &[7; 300], deflate)
    }

    #[test]
    fn parts_round_trip() {
        for deflate in [false, true] {
            let saved = saved(deflate);
            let container = Container::read(&saved).unwrap().check("note", 3).unwrap();
            assert_eq!(container.text().unwrap(), "text ".repeat(50));
            assert_eq!(&*container.content().unwrap(), &[7; 300]);
        }
        assert!(saved(false).len() > 550 && saved(true).len() < 100);
    }

    #[test]
    fn what_does_not_become_shorter_is_not_compressed() {
        let write = |deflate| Container::write(("note", 3), "", &[1, 2, 3], deflate);
        assert_eq!(write(true), write(false));
        let bytes = [1, 0, 4, b'n', b'o', b't', b'e', 3, 0, 3, 1, 2, 3];
        assert_eq!(&write(true)[8..], bytes);
    }

    #[test]
    fn a_change_of_any_byte_is_found() {
        for deflate in [false, true] {
            let saved = saved(deflate);
            for at in 0..saved.len() {
                assert!(Container::read(&saved[..at]).is_err(), "cut at {at}");
                for bit in 0..8 {
                    let mut changed = saved.clone();
                    changed[at] ^= 1 << bit;
                    assert!(Container::read(&changed).is_err(), "bit {bit} at {at} flipped");
                }
            }
        }
    }

    /// A saved state with these bytes after its checksum, which is right.
    fn with_checksum(bytes: &[u8]) -> Vec<u8> {
        let checksum = crc32fast::hash(bytes).to_le_bytes();
        [&MAGIC[..], &checksum, bytes].concat()
    }

    #[test]
    fn errors_say_what_was_found() {
        let error = |bytes: &[u8]| match Container::read(bytes) {
            Ok(container) => container.check("note", 3).err(),
            Err(error) => Some(error),
        };
        assert_eq!(error(b"[\"note\",1,{}]"), Some(LoadError::NotSaved));
        let another = Some(LoadError::AnotherFormat { expected: 1, found: 2 });
        assert_eq!(error(&with_checksum(&[2, 9, 9])), another);
        let another = LoadError::AnotherType { expected: "note", found: "map".to_owned() };
        assert_eq!(error(&Container::write(("map", 3), "", &[], false)), Some(another));
        let another = Some(LoadError::AnotherVersion { expected: 3, found: 4 });
        assert_eq!(error(&Container::write(("note", 4), "", &[], false)), another);
        let flags = with_checksum(&[1, 4, 1, b'n', 1, 0, 0]);
        assert_eq!(error(&flags), Some(damaged("known flags")));
    }

    #[test]
    fn the_length_before_compression_is_bounded() {
        let deflated = compress_to_vec(&[0; 1_000], LEVEL);
        let saved = |length: u64| {
            let mut bytes = vec![1, CONTENT_DEFLATED as u8, 1, b'n', 1, 0];
            varint::write(&mut bytes, length);
            write_bytes(&mut bytes, &deflated);
            with_checksum(&bytes)
        };
        let content = |length: u64| {
            let saved = saved(length);
            Container::read(&saved).and_then(|container| container.content().map(Cow::into_owned))
        };
        assert_eq!(content(1_000), Ok(vec![0; 1_000]));
        for wrong in [999, 1_001, 100_000] {
            assert!(matches!(content(wrong), Err(LoadError::Damaged { .. })), "{wrong}");
        }
        assert!(matches!(content(1 << 40), Err(LoadError::TooLong { .. })));
    }
}
