//! Results as lines between the processes, and as Markdown.

use std::{collections::BTreeMap, fmt::Write};

use crate::{
    libraries::Entry,
    measure::{LIMIT, Results},
    trace::Trace,
};

/// How the values of a row are printed.
#[derive(Clone, Copy)]
enum Unit {
    Milliseconds,
    Bytes,
    Megabytes,
}

/// The names of the works, and their rows.
const ROWS: [(&str, &str, Unit); 14] = [
    ("type", "type alone", Unit::Milliseconds),
    ("type and send", "type, with an update of each action", Unit::Milliseconds),
    ("update", "size of an update", Unit::Bytes),
    ("receive updates", "receive update by update", Unit::Milliseconds),
    ("receive history", "receive the history as one update", Unit::Milliseconds),
    ("save", "save", Unit::Milliseconds),
    ("saved, plain", "saved, plain", Unit::Bytes),
    ("saved, compact", "saved, compressed by the library", Unit::Bytes),
    ("saved, deflated", "the smaller of these, deflated", Unit::Bytes),
    ("load text", "load until the text shows", Unit::Milliseconds),
    ("load and edit", "load, show and edit", Unit::Milliseconds),
    ("memory", "memory", Unit::Megabytes),
    ("peak memory", "peak memory", Unit::Megabytes),
    ("memory, loaded", "memory, loaded", Unit::Megabytes),
];

/// Prints one line for each work, which [`Column::read`] reads.
pub fn write(results: &Results) {
    for (work, values) in results {
        let values: Vec<String> = values.iter().map(f64::to_string).collect();
        println!("{work}\t{}", values.join("\t"));
    }
}

/// The results of a library.
pub struct Column {
    name: &'static str,
    values: BTreeMap<String, Vec<f64>>,
}

impl Column {
    /// Reads the output of the processes that have measured.
    pub fn read(name: &'static str, outputs: &[String]) -> Self {
        let lines = outputs.iter().flat_map(|output| output.lines());
        let values = lines.filter_map(|line| {
            let (work, values) = line.split_once('\t')?;
            let mut values: Vec<f64> = values.split('\t').filter_map(|v| v.parse().ok()).collect();
            values.sort_by(f64::total_cmp);
            Some((work.to_owned(), values))
        });
        Self { name, values: values.collect() }
    }

    /// The median, and the difference of the slowest and the fastest round divided by it.
    fn median(&self, work: &str) -> Option<(f64, f64)> {
        let values = self.values.get(work)?;
        let (first, last) = (values.first()?, values.last()?);
        let median = values[values.len() / 2];
        Some((median, (last - first) / median))
    }
}

/// The table of a trace. Behind each time is its spread.
pub fn markdown(trace: &Trace, action: &str, columns: &[Column]) -> String {
    let mut out = String::new();
    let authors = if trace.authors == 1 { "author" } else { "authors" };
    let (patches, actions) = (trace.patches(), trace.steps.len());
    let (letters, name) = (trace.letters(), trace.name);
    if !trace.recorded {
        out += "`../shared/traces` does not have this trace: a generated one takes its place.\n\n";
    }
    let _ = writeln!(
        out,
        "`{name}`, an action a {action}: {} {authors}, {} actions, {} edits, length {}",
        trace.authors,
        grouped(actions as f64),
        grouped(patches as f64),
        grouped(letters as f64),
    );
    let head = columns.iter().fold(String::new(), |head, column| head + " " + column.name + " |");
    let _ = writeln!(out, "\n| |{head}\n| --- |{}", " ---: |".repeat(columns.len()));
    for (work, title, unit) in ROWS {
        let cells: Vec<_> = columns.iter().map(|column| column.median(work)).collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        let title = match unit {
            _ if work == "type and send" && trace.authors > 1 => {
                "type, send and receive, all authors"
            }
            _ => title,
        };
        let _ = write!(out, "| {title} |");
        for cell in &cells {
            let cell = cell.map(|(median, spread)| print(median, spread, unit)).unwrap_or_default();
            let _ = write!(out, " {cell} |");
        }
        let _ = writeln!(out);
        if matches!(work, "type" | "receive updates") {
            let _ = write!(out, "| — for each edit |");
            for cell in &cells {
                let cell = cell.filter(|(median, _)| median.is_finite());
                let each = |(median, _)| format!("{} ns", grouped(median * 1e9 / patches as f64));
                let _ = write!(out, " {} |", cell.map(each).unwrap_or_default());
            }
            let _ = writeln!(out);
        }
    }
    out
}

/// The versions of all packages, as in the lock file of this program.
pub fn versions(libraries: &[&Entry]) -> String {
    let lock = include_str!("../../Cargo.lock");
    let packages = libraries.iter().flat_map(|library| library.packages);
    let versions = packages.map(|package| {
        let entry = format!("name = \"{package}\"\nversion = \"");
        let version = lock.split_once(&entry).and_then(|(_, rest)| rest.split('"').next());
        format!("{package} {}", version.unwrap_or("of this repository"))
    });
    versions.collect::<Vec<_>>().join(", ")
}

fn print(median: f64, spread: f64, unit: Unit) -> String {
    match unit {
        _ if median.is_infinite() => format!("over {} s", LIMIT.as_secs()),
        Unit::Milliseconds => {
            format!("{} ms ({:.0} %)", significant(median * 1e3), spread * 100.0)
        }
        Unit::Bytes => grouped(median),
        Unit::Megabytes => format!("{} MB", significant(median / 1e6)),
    }
}

/// Three significant digits.
fn significant(value: f64) -> String {
    match value {
        100.0.. => grouped(value),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A whole number with commas.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
