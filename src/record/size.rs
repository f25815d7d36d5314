//! The size of a record and its bounds.

use std::time::Duration;

use super::{Field, RefusedWrite};
use crate::{json::JsonObject, time::WallTime};

/// The bounds of records in a database, and for how long their deletions are remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordConfig {
    /// The largest number of fields of a record. A write beyond it is refused. Default: 10,000.
    pub max_fields: u64,
    /// The largest size of a record: the bytes of its keys and of the JSON of its values. A write
    /// beyond it is refused. Default: 8 MiB.
    pub max_bytes: u64,
    /// For how long a deletion is remembered. Devices that were offline for longer may not learn
    /// of it, and may create the record again by an action that is older than the deletion.
    /// Default: 90 days.
    pub deletions_kept_for: Duration,
}

impl Default for RecordConfig {
    fn default() -> Self {
        Self {
            max_fields: 10_000,
            max_bytes: 8 << 20,
            deletions_kept_for: Duration::from_hours(90 * 24),
        }
    }
}

impl RecordConfig {
    /// Returns the time of arrival before which deletions are forgotten at `now`.
    pub fn horizon(&self, now: WallTime) -> WallTime {
        now.before(self.deletions_kept_for)
    }
}

/// The size of a record. Databases store it, so that a change does not read the whole record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordSize {
    /// The number of fields.
    pub fields: u64,
    /// The bytes of the keys and of the JSON of the values.
    pub bytes: u64,
}

impl RecordSize {
    /// Returns the size after a write of the fields `won`, of which the record has the fields
    /// `known`. O(known + won).
    ///
    /// # Errors
    /// [`RefusedWrite`] if the write increases the size beyond the bounds. A record that exceeds
    /// them, because they were larger before, may become smaller.
    pub fn after(
        self,
        known: &[Field],
        won: &JsonObject,
        config: &RecordConfig,
    ) -> Result<Self, RefusedWrite> {
        let mut size = self;
        for (key, value) in won.iter() {
            size.fields += 1;
            size.bytes += (key.len() + value.as_str().len()) as u64;
        }
        for field in known.iter().filter(|field| won.get(&field.key).is_some()) {
            size.fields = size.fields.saturating_sub(1);
            let replaced = field.key.len() + field.value.as_str().len();
            size.bytes = size.bytes.saturating_sub(replaced as u64);
        }
        if size.fields > config.max_fields.max(self.fields) {
            Err(RefusedWrite::TooManyFields(config.max_fields))
        } else if size.bytes > config.max_bytes.max(self.bytes) {
            Err(RefusedWrite::TooLarge(config.max_bytes))
        } else {
            Ok(size)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{action::Stamp, json::Json};

    fn object(json: &str) -> JsonObject {
        JsonObject::from_json(json).unwrap()
    }

    fn field(key: &str, value: &str) -> Field {
        let stamp = Stamp::new(WallTime::from_millis(1), "1 a 0".parse().unwrap());
        Field {
            key: key.into(),
            value: Json::new(value).unwrap(),
            stamp,
            arrived: WallTime::from_millis(1),
        }
    }

    #[test]
    fn the_size_counts_each_field_once() {
        let config = RecordConfig::default();
        let first = RecordSize::default().after(&[], &object(r#"{"a":1,"bc":"d"}"#), &config);
        assert_eq!(first, Ok(RecordSize { fields: 2, bytes: 2 + 5 }));
        let known = [field("a", "1"), field("bc", r#""d""#)];
        let second = first.unwrap().after(&known[..1], &object(r#"{"a":1234}"#), &config);
        assert_eq!(second, Ok(RecordSize { fields: 2, bytes: 5 + 5 }));
    }

    #[test]
    fn a_record_may_reach_its_bounds_and_shrink_beyond_them() {
        let config = RecordConfig { max_fields: 2, max_bytes: 10, ..RecordConfig::default() };
        let empty = RecordSize::default();
        assert!(empty.after(&[], &object(r#"{"a":1,"b":123456}"#), &config).is_ok());
        assert_eq!(
            empty.after(&[], &object(r#"{"a":1,"b":2,"c":3}"#), &config),
            Err(RefusedWrite::TooManyFields(2))
        );
        assert_eq!(
            empty.after(&[], &object(r#"{"a":1,"b":12345678}"#), &config),
            Err(RefusedWrite::TooLarge(10))
        );
        let large = RecordSize { fields: 5, bytes: 50 };
        assert!(large.after(&[field("a", "12")], &object(r#"{"a":1}"#), &config).is_ok());
        assert!(large.after(&[field("a", "1")], &object(r#"{"a":12}"#), &config).is_err());
    }
}
