//! Tables of documents and of their history, for people.

use serde_json::Value;

/// Returns a time in milliseconds since the epoch as a date and a time of the day in UTC.
fn time(value: &Value) -> String {
    let time = value.as_i64().and_then(|ms| {
        time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok()
    });
    time.map_or_else(String::new, |time| {
        let (hour, minute, second) = time.to_hms();
        format!("{} {hour:02}:{minute:02}:{second:02}Z", time.date())
    })
}

/// Returns a text without the characters that would change a terminal.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

/// Returns lines with aligned columns. The last column is not padded.
fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut rows = rows;
    rows.insert(0, head.map(str::to_owned));
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Returns the items of a list.
fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Returns the table of the documents of a kind.
pub(super) fn documents(list: &[Value]) -> String {
    let row = |entry: &Value| {
        let changed = &entry["changedAt"];
        let state = if entry["deletedAt"].is_null() { "" } else { " (deleted)" };
        [
            plain(&entry["creator"]),
            plain(&entry["bytes"]),
            plain(&entry["actions"]),
            time(&entry["createdAt"]),
            time(changed),
            format!("{}{state}", plain(&entry["id"])),
        ]
    };
    let head = ["CREATOR", "BYTES", "ACTIONS", "CREATED", "CHANGED", "ID"];
    table(head, list.iter().map(row).collect())
}

/// Returns the table of a page of a history, newest first, with the versions at their positions.
pub(super) fn history(page: &Value) -> String {
    let name_of = |position: &Value| {
        let named = items(&page["versions"]).filter(|version| version["position"] == *position);
        named.map(|version| plain(&version["name"])).collect::<Vec<_>>().join(", ")
    };
    let row = |entry: &Value| {
        [
            plain(&entry["position"]),
            time(&entry["at"]),
            plain(&entry["user"]),
            plain(&entry["type"]),
            name_of(&entry["position"]),
        ]
    };
    let rows = items(&page["entries"]).map(row).collect();
    table(["POSITION", "TIME", "USER", "TYPE", "VERSION"], rows)
}

/// Returns the table of the parts of a text with their authors.
pub(super) fn authors(answer: &Value) -> String {
    let row = |part: &Value| {
        // As a JSON string, a part with line breaks is one line.
        let text = serde_json::to_string(&part["text"]).unwrap_or_default();
        let user = if part["user"].is_null() { &part["node"] } else { &part["user"] };
        [plain(user), time(&part["time"]), plain(&Value::String(text))]
    };
    table(["AUTHOR", "TIME", "TEXT"], items(&answer["authors"]).map(row).collect())
}

/// Returns the differences of two states, a line for each.
pub(super) fn changes(changes: &Value) -> String {
    let mut text = String::new();
    for change in items(&changes["changes"]) {
        text.push_str(&plain(change));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_aligned_and_times_are_readable() {
        let entry = json!({
            "id": "a\u{1b}[31m", "creator": "ada", "bytes": 12, "actions": 3,
            "createdAt": 1_764_000_000_000_i64, "changedAt": 1_764_000_001_500_i64,
        });
        let text = documents(&[entry]);
        let lines: Vec<_> = text.lines().collect();
        let expected =
            "ada      12     3        2025-11-24 16:00:00Z  2025-11-24 16:00:01Z  a\u{FFFD}[31m";
        assert_eq!(lines[1], expected);
        assert_eq!(lines[0].find("ID"), lines[1].find("a\u{FFFD}"));
    }
}
