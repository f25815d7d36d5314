//! What a value violates, and whether it is more than what another value does.

use std::collections::BTreeMap;

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind, paths::LocationSegment};
use logux::crdt::SchemaViolation;
use serde_json::Value;

/// The length of a value up to which it is a part of a description, in bytes.
const MAX_SHOWN: usize = 80;

/// The violations of one rule at one place. Items of arrays are one place, because their indexes
/// change.
#[derive(Default)]
struct Count {
    places: usize,
    /// The largest amount by which a limit is exceeded, as far as it is a number.
    excess: f64,
}

/// The place of a violation, and the rule.
type Key = (String, String);

/// Returns the first violation of a value that a former value does not have. `at` is the path of
/// the value.
pub(crate) fn first_added(
    validator: &Validator,
    at: &str,
    before: Option<&Value>,
    after: &Value,
) -> Option<SchemaViolation> {
    if validator.is_valid(after) {
        return None;
    }
    let known = before.map(|before| counts(validator, before)).unwrap_or_default();
    let mut found: BTreeMap<Key, Count> = BTreeMap::new();
    for error in validator.iter_errors(after) {
        let (key, excess) = (key(&error), excess(&error));
        let known = known.get(&key);
        let count = found.entry(key).or_default();
        count.places += 1;
        let is_known = known.is_some_and(|known| {
            count.places <= known.places && excess.is_none_or(|excess| excess <= known.excess)
        });
        if !is_known {
            return Some(SchemaViolation::new(
                format!("{at}{}", error.instance_path()),
                describe(&error),
            ));
        }
    }
    None
}

fn counts(validator: &Validator, value: &Value) -> BTreeMap<Key, Count> {
    let mut counts: BTreeMap<Key, Count> = BTreeMap::new();
    for error in validator.iter_errors(value) {
        let excess = excess(&error);
        let count = counts.entry(key(&error)).or_insert(Count { places: 0, excess: f64::MIN });
        count.places += 1;
        count.excess = excess.map_or(count.excess, |excess| excess.max(count.excess));
    }
    counts
}

fn key(error: &ValidationError<'_>) -> Key {
    let mut place = String::new();
    for segment in error.instance_path() {
        place.push('/');
        match segment {
            LocationSegment::Property(name) => place.push_str(&name),
            LocationSegment::Index(_) => place.push('*'),
        }
    }
    let mut rule = error.schema_path().to_string();
    if let ValidationErrorKind::Required { property } = error.kind() {
        rule.push_str(&property.to_string());
    }
    (place, rule)
}

/// Returns how far a value is beyond a limit; larger is worse. `None` for what is no limit.
fn excess(error: &ValidationError<'_>) -> Option<f64> {
    let instance = error.instance().as_ref();
    let size = || match instance {
        Value::String(text) => text.chars().count() as f64,
        Value::Array(items) => items.len() as f64,
        Value::Object(fields) => fields.len() as f64,
        other => other.as_f64().unwrap_or(0.0),
    };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => Some(unexpected.len() as f64),
        ValidationErrorKind::MaxLength { .. }
        | ValidationErrorKind::MaxItems { .. }
        | ValidationErrorKind::MaxProperties { .. }
        | ValidationErrorKind::Maximum { .. }
        | ValidationErrorKind::ExclusiveMaximum { .. } => Some(size()),
        ValidationErrorKind::MinLength { .. }
        | ValidationErrorKind::MinItems { .. }
        | ValidationErrorKind::MinProperties { .. }
        | ValidationErrorKind::Minimum { .. }
        | ValidationErrorKind::ExclusiveMinimum { .. } => Some(-size()),
        _ => None,
    }
}

/// Describes what was expected, and what came, unless that is long.
fn describe(error: &ValidationError<'_>) -> String {
    if matches!(error.kind(), ValidationErrorKind::FalseSchema) {
        return "expected no value here, which the schema does not know".to_owned();
    }
    if error.instance().to_string().len() <= MAX_SHOWN {
        return error.to_string();
    }
    let value = match error.instance().as_ref() {
        Value::String(text) => format!("a string of {} characters", text.chars().count()),
        Value::Array(items) => format!("an array of {} items", items.len()),
        Value::Object(fields) => format!("an object of {} fields", fields.len()),
        _ => "a value".to_owned(),
    };
    error.masked_with(value).to_string()
}
