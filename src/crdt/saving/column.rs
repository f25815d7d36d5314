//! Columns of integers with run lengths.

use super::{
    error::{LoadError, damaged},
    varint::{self, Bytes, unzigzag, zigzag},
};

/// The largest number of values in a block. It fits into the byte at the beginning of the block,
/// and bounds how many values the bytes of a column can have: 63 in 2 bytes.
const MAX_BLOCK: usize = 63;

/// The least number of equal values that are written as a repetition.
const MIN_REPEAT: usize = 3;

/// A column of integers that is written: values that repeat take two bytes for up to 63 of them.
///
/// A column is a sequence of blocks of 1 to 63 values, the hybrid of run lengths and plain values
/// of Apache Parquet. A block begins with one byte: 2n if n integers follow, 2n + 1 if one integer
/// follows that is repeated n times.
///
/// ```
/// use logux::crdt::ColumnWriter;
///
/// let mut lengths = ColumnWriter::default();
/// for length in [7, 1, 1, 1, 1, 300] {
///     lengths.push(length);
/// }
/// assert_eq!(lengths.len(), 6);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ColumnWriter {
    blocks: Vec<u8>,
    /// Values before the run that are not in a block yet, in bytes.
    plain: Vec<u8>,
    plain_count: usize,
    /// The last value, and the number of times that it was added in succession.
    run: u64,
    run_count: usize,
    /// The last value of [`push_delta`](Self::push_delta).
    last: i64,
    count: usize,
}

impl ColumnWriter {
    /// Adds an integer.
    #[inline]
    pub fn push(&mut self, value: u64) {
        self.count += 1;
        if value == self.run && (1..MAX_BLOCK).contains(&self.run_count) {
            self.run_count += 1;
        } else {
            self.end_run();
            (self.run, self.run_count) = (value, 1);
        }
    }

    /// Adds a signed integer; those close to 0 are short.
    #[inline]
    pub fn push_signed(&mut self, value: i64) {
        self.push(zigzag(value));
    }

    /// Adds the difference between a signed integer and that of the previous call, which is 0 at
    /// first.
    #[inline]
    pub fn push_delta(&mut self, value: i64) {
        self.push_signed(value.wrapping_sub(self.last));
        self.last = value;
    }

    /// Returns the number of values.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Returns `true` if there are no values.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    fn end_run(&mut self) {
        if self.run_count >= MIN_REPEAT {
            self.end_plain();
            self.blocks.push((self.run_count as u8) << 1 | 1);
            varint::write(&mut self.blocks, self.run);
        } else {
            for _ in 0..self.run_count {
                if self.plain_count == MAX_BLOCK {
                    self.end_plain();
                }
                varint::write(&mut self.plain, self.run);
                self.plain_count += 1;
            }
        }
    }

    fn end_plain(&mut self) {
        if self.plain_count > 0 {
            self.blocks.push((self.plain_count as u8) << 1);
            self.blocks.append(&mut self.plain);
            self.plain_count = 0;
        }
    }

    /// Returns the bytes of the column.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.end_run();
        self.end_plain();
        self.blocks
    }
}

/// A column of integers that is read, value by value and without allocation.
///
/// The methods must be those that added the values. They fail after the last value.
#[derive(Clone, Debug, Default)]
pub struct ColumnReader<'a> {
    bytes: Bytes<'a>,
    /// The number of values left in the block.
    left: u8,
    /// The value of the block, if it repeats one.
    repeated: Option<u64>,
    last: i64,
}

impl<'a> ColumnReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: Bytes(bytes), ..Self::default() }
    }

    /// Reads an integer.
    ///
    /// # Errors
    /// [`LoadError::Damaged`].
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "the values have no end of their own")]
    pub fn next(&mut self) -> Result<u64, LoadError> {
        if self.left == 0 {
            self.next_block()?;
        }
        self.left -= 1;
        match self.repeated {
            Some(value) => Ok(value),
            None => self.bytes.varint(),
        }
    }

    fn next_block(&mut self) -> Result<(), LoadError> {
        let Some((head, rest)) = self.bytes.0.split_first() else {
            return Err(damaged("another value of a column"));
        };
        self.bytes.0 = rest;
        if !(2..0x80).contains(head) {
            return Err(damaged("a block of 1 to 63 values"));
        }
        self.repeated = if head & 1 == 1 { Some(self.bytes.varint()?) } else { None };
        self.left = head >> 1;
        Ok(())
    }

    /// Reads a signed integer.
    ///
    /// # Errors
    /// [`LoadError::Damaged`].
    #[inline]
    pub fn next_signed(&mut self) -> Result<i64, LoadError> {
        self.next().map(unzigzag)
    }

    /// Reads a signed integer that was added as a difference.
    ///
    /// # Errors
    /// [`LoadError::Damaged`].
    #[inline]
    pub fn next_delta(&mut self) -> Result<i64, LoadError> {
        self.last = self.last.wrapping_add(self.next_signed()?);
        Ok(self.last)
    }

    /// Reads an integer of 32 bits.
    ///
    /// # Errors
    /// [`LoadError::Damaged`].
    #[inline]
    pub fn next_u32(&mut self) -> Result<u32, LoadError> {
        u32::try_from(self.next()?).map_err(|_| damaged("an integer of 32 bits"))
    }

    /// Checks that all values were read.
    ///
    /// # Errors
    /// [`LoadError::Damaged`] if there are more.
    pub fn end(&self) -> Result<(), LoadError> {
        if self.left == 0 { self.bytes.end() } else { Err(damaged("the end of a column")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(values: &[u64]) -> Vec<u8> {
        let mut column = ColumnWriter::default();
        values.iter().for_each(|value| column.push(*value));
        assert_eq!(column.len(), values.len());
        column.finish()
    }

    fn read(bytes: &[u8], count: usize) -> Result<Vec<u64>, LoadError> {
        let mut column = ColumnReader::new(bytes);
        let values = (0..count).map(|_| column.next()).collect::<Result<_, _>>()?;
        column.end().map(|()| values)
    }

    #[test]
    fn values_that_repeat_are_written_once() {
        assert!(column(&[]).is_empty());
        assert_eq!(column(&[5; 10]), [21, 5]);
        assert_eq!(column(&[5; 64]), [127, 5, 2, 5]);
        assert_eq!(column(&[1, 2, 2, 3, 3, 3, 4]), [6, 1, 2, 2, 7, 3, 2, 4]);
        let distinct: Vec<u64> = (0..100).collect();
        assert_eq!(column(&distinct).len(), 102);
    }

    proptest! {
        #[test]
        fn columns_round_trip(runs in prop::collection::vec((0..5_u64, 1..200_usize), 0..20)) {
            let values: Vec<u64> =
                runs.iter().flat_map(|(value, count)| vec![*value * 100; *count]).collect();
            let bytes = column(&values);
            prop_assert_eq!(read(&bytes, values.len()), Ok(values.clone()));
            prop_assert!(read(&bytes, values.len() + 1).is_err());
            prop_assert!(values.is_empty() || read(&bytes, values.len() - 1).is_err());
        }

        #[test]
        fn deltas_round_trip(values: Vec<i64>) {
            let mut column = ColumnWriter::default();
            values.iter().for_each(|value| column.push_delta(*value));
            let bytes = column.finish();
            let mut read = ColumnReader::new(&bytes);
            for value in values {
                prop_assert_eq!(read.next_delta(), Ok(value));
            }
            prop_assert!(read.end().is_ok());
        }

        #[test]
        fn any_bytes_give_values_or_an_error(bytes: Vec<u8>) {
            let mut column = ColumnReader::new(&bytes);
            let mut count = 0;
            while column.next().is_ok() {
                count += 1;
            }
            prop_assert!(count <= bytes.len() * MAX_BLOCK / 2);
        }
    }
}
