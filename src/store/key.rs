//! Encodes stamps as bytes that databases order as [`Stamp`] does.
//!
//! SQLite compares blobs byte by byte, as PostgreSQL does with `bytea`. A key is therefore the
//! concatenation of the parts of the stamp, each in a form that sorts by its bytes:
//!
//! | part | bytes | form |
//! | --- | --- | --- |
//! | corrected time | 7 | milliseconds + 2⁵⁵, big-endian |
//! | node id | any | UTF-8, changed as below |
//! | end of the node id | 1 | `00` |
//! | sequence number | 1–5 | the number of bytes that follow, then big-endian without leading zeros |
//! | time inside the id | 1–8 | its difference *d* from the corrected time: if *d* ≥ 0, `80` + the number *n* of bytes that follow, then *d*, big-endian; if *d* < 0, `80` − *n*, then 256ⁿ + *d*, big-endian |
//!
//! In the node id, bytes below `20` are increased by one, so that `00` can mark the end; `20` (a
//! space) never occurs in it. JavaScript orders strings by UTF-16 code unit, so the lead bytes of
//! U+E000–U+FFFF (`EE`, `EF`) are replaced by `F3`, `F4`, and those of the characters above U+FFFF
//! (`F0`–`F4`) by `EE`–`F2`. A typical key is 10 bytes longer than its node id.

use crate::{
    action::{ActionId, NodeId, Stamp},
    time::WallTime,
};

/// The key before the keys of all stamps.
pub const FIRST: &[u8] = &[];
/// A key after the keys of all stamps: the first byte of a time is less than `A0`.
pub const LAST: &[u8] = &[0xFF];

const TIME_BYTES: usize = 7;
const TIME_BIAS: i64 = 1 << 55;

/// Encodes a stamp, the position of an action in the order.
pub fn of_stamp(stamp: &Stamp) -> Vec<u8> {
    let id = stamp.id();
    let mut key = Vec::with_capacity(id.node().as_str().len() + 2 * TIME_BYTES);
    put_time(&mut key, stamp.time());
    put_node(&mut key, id.node());
    put_sequence(&mut key, id.sequence());
    put_difference(&mut key, id.time().since(stamp.time()));
    key
}

/// Encodes the stamp of an action whose corrected time is the time in its id.
pub fn of_uncorrected(id: &ActionId) -> Vec<u8> {
    of_stamp(&Stamp::new(id.time(), id.clone()))
}

/// Encodes an id, to look it up independently of its corrected time.
pub fn of_id(id: &ActionId) -> Vec<u8> {
    let mut key = Vec::with_capacity(id.node().as_str().len() + 2 + TIME_BYTES);
    put_time(&mut key, id.time());
    put_node(&mut key, id.node());
    put_sequence(&mut key, id.sequence());
    key
}

/// Encodes a time: the prefix of the keys of all stamps with this corrected time.
pub fn of_time(time: WallTime) -> Vec<u8> {
    let mut key = Vec::with_capacity(TIME_BYTES);
    put_time(&mut key, time);
    key
}

/// Decodes a key that [`of_stamp`] encoded. Returns `None` for any other bytes.
pub fn to_stamp(key: &[u8]) -> Option<Stamp> {
    let (time, rest) = key.split_at_checked(TIME_BYTES)?;
    let time = WallTime::checked_from_millis(big_endian(time)? - TIME_BIAS)?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    let node =
        String::from_utf8(rest[..end].iter().map(|&byte| decode_node_byte(byte)).collect()).ok()?;
    let (&count, rest) = rest[end + 1..].split_first()?;
    let (sequence, rest) = rest.split_at_checked(count.into())?;
    let sequence = big_endian(sequence)?.try_into().ok()?;
    let (&sign, rest) = rest.split_first()?;
    let count = sign.abs_diff(0x80);
    if rest.len() != usize::from(count) || count > 7 {
        return None;
    }
    let wrapped = big_endian(rest)?;
    let difference = if sign < 0x80 { wrapped - (1_i64 << (8 * count)) } else { wrapped };
    let id_time = WallTime::checked_from_millis(time.as_millis() + difference)?;
    Some(Stamp::new(time, ActionId::new(id_time, NodeId::new(node).ok()?, sequence)))
}

fn put_time(key: &mut Vec<u8>, time: WallTime) {
    // A time is within ±2⁵³ ms, so the sum is positive and the highest of the eight bytes is zero.
    key.extend_from_slice(&(time.as_millis() + TIME_BIAS).to_be_bytes()[1..]);
}

fn put_node(key: &mut Vec<u8>, node: &NodeId) {
    key.extend(node.as_str().bytes().map(|byte| match byte {
        0x00..=0x1F => byte + 1,
        0xEE | 0xEF => byte + 5,
        0xF0..=0xF4 => byte - 2,
        _ => byte,
    }));
    key.push(0);
}

const fn decode_node_byte(byte: u8) -> u8 {
    match byte {
        0x01..=0x20 => byte - 1,
        0xF3 | 0xF4 => byte - 5,
        0xEE..=0xF2 => byte + 2,
        _ => byte,
    }
}

fn put_sequence(key: &mut Vec<u8>, sequence: u32) {
    let bytes = sequence.to_be_bytes();
    let zeros = sequence.leading_zeros() as usize / 8;
    key.push((bytes.len() - zeros) as u8);
    key.extend_from_slice(&bytes[zeros..]);
}

fn put_difference(key: &mut Vec<u8>, difference: i64) {
    let bytes = difference.to_be_bytes();
    let zeros = difference.unsigned_abs().leading_zeros() as usize / 8;
    let count = (bytes.len() - zeros) as u8;
    key.push(if difference < 0 { 0x80 - count } else { 0x80 + count });
    key.extend_from_slice(&bytes[zeros..]);
}

fn big_endian(bytes: &[u8]) -> Option<i64> {
    let mut padded = [0; 8];
    padded.get_mut(8_usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(i64::from_be_bytes(padded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::strategies;
    use proptest::prelude::*;

    fn stamp(id: &str, time: i64) -> Stamp {
        Stamp::new(WallTime::from_millis(time), id.parse().unwrap())
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn keys_have_the_documented_bytes() {
        for (id, time, expected) in [
            ("0 a 0", 0, "80000000000000 61 00 00 80"),
            ("1564508138460 10:c:t 1", 1_564_508_138_460, "80016c43f3abdc 31303a633a74 00 0101 80"),
            ("3 a\u{0}\u{1f} 256", 1, "80000000000001 610120 00 020100 8102"),
            ("1 \u{e000} 0", 258, "80000000000102 f38080 00 00 7efeff"),
            ("0 \u{1f600} 0", 300, "8000000000012c ee9f9880 00 00 7efe d4"),
        ] {
            assert_eq!(
                hex(&of_stamp(&stamp(id, time))),
                expected.replace(' ', ""),
                "{id} at {time}"
            );
        }
    }

    #[test]
    fn extreme_times_can_be_encoded() {
        let (min, max) = (WallTime::MIN, WallTime::MAX);
        for (time, id_time) in [(min, max), (max, min), (min, min), (max, max)] {
            let stamp =
                Stamp::new(time, ActionId::new(id_time, NodeId::new("a").unwrap(), u32::MAX));
            let key = of_stamp(&stamp);
            assert!(FIRST < &key[..] && &key[..] < LAST);
            assert_eq!(to_stamp(&key), Some(stamp));
        }
    }

    #[test]
    fn rejects_invalid_keys() {
        let key = of_stamp(&stamp("5 a 300", 2));
        for length in 0..key.len() {
            assert_eq!(to_stamp(&key[..length]), None, "the first {length} bytes");
        }
        assert_eq!(to_stamp(&[&key[..], &[0]].concat()), None);
        assert_eq!(to_stamp(&[0xFF; 20]), None);
    }

    proptest! {
        #[test]
        fn keys_sort_like_stamps(a in strategies::stamp(), b in strategies::stamp()) {
            prop_assert_eq!(of_stamp(&a).cmp(&of_stamp(&b)), a.cmp(&b));
            prop_assert_eq!(of_id(a.id()) == of_id(b.id()), a.id() == b.id());
            prop_assert!(of_time(a.time()) < of_stamp(&a));
            prop_assert_eq!(to_stamp(&of_stamp(&a)), Some(a));
        }

        #[test]
        fn any_bytes_are_decoded_or_rejected(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(stamp) = to_stamp(&bytes) {
                prop_assert!(to_stamp(&of_stamp(&stamp)) == Some(stamp));
            }
        }
    }
}
