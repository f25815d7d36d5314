//! Integers of variable length: LEB128, as in DWARF and Protocol Buffers.

use super::error::{LoadError, damaged};

/// Appends an unsigned integer: 7 bits in each byte, the lowest first; the high bit is set in all
/// bytes but the last.
#[inline]
pub(super) fn write(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Maps a signed integer to an unsigned one, so that numbers close to 0 are short: 0, -1, 1, -2
/// become 0, 1, 2, 3.
#[inline]
pub(super) const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// Reverses [`zigzag`].
#[inline]
pub(super) const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Bytes that are read from the front.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    /// Reads an unsigned integer. Only the shortest form is accepted, so that equal states have
    /// equal bytes.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, LoadError> {
        match self.0 {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.0 = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, LoadError> {
        let mut number = 0;
        for (index, byte) in self.0.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                let is_shortest = index == 0 || *byte > 0;
                // The tenth byte has the last bit.
                if !is_shortest || (index == 9 && *byte > 1) {
                    return Err(damaged("an integer of 64 bits in its shortest form"));
                }
                self.0 = &self.0[index + 1..];
                return Ok(number);
            }
        }
        Err(damaged("the end of an integer"))
    }

    /// Reads a length, and returns this number of bytes.
    #[inline]
    pub(super) fn with_length(&mut self) -> Result<&'a [u8], LoadError> {
        let length = self.varint()?;
        let length = usize::try_from(length).ok().filter(|length| *length <= self.0.len());
        let (taken, rest) = self.0.split_at(length.ok_or(damaged("more bytes"))?);
        self.0 = rest;
        Ok(taken)
    }

    /// Reads a string with its length.
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'a str, LoadError> {
        core::str::from_utf8(self.with_length()?).map_err(|_| damaged("a string in UTF-8"))
    }

    /// Checks that everything was read.
    pub(super) const fn end(self) -> Result<(), LoadError> {
        if self.0.is_empty() { Ok(()) } else { Err(damaged("the end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_round_trip() {
        let numbers = [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX];
        for number in numbers {
            let mut bytes = Vec::new();
            write(&mut bytes, number);
            let mut read = Bytes(&bytes);
            assert_eq!(read.varint(), Ok(number));
            assert_eq!(read.end(), Ok(()));
            for cut in 0..bytes.len() {
                assert!(Bytes(&bytes[..cut]).varint().is_err(), "{number} cut at {cut}");
            }
        }
        for number in [0, 1, -1, 2, -2, 1_000, -1_000, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(number)), number);
        }
        assert_eq!([0, -1, 1, -2].map(zigzag), [0, 1, 2, 3]);
    }

    #[test]
    fn integers_have_one_form() {
        let mut largest = [0xff; 10];
        largest[9] = 1;
        assert_eq!(Bytes(&largest).varint(), Ok(u64::MAX));
        largest[9] = 2;
        for bytes in [&[0x80, 0][..], &[0x81, 0x80, 0], &largest, &[0x80; 12]] {
            assert!(Bytes(bytes).varint().is_err(), "{bytes:?}");
        }
    }
}
