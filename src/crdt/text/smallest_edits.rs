//! The smallest edits between two strings.

use core::ops::Range;
use std::collections::BTreeMap;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::delta::{Delta, DeltaItem};

/// The maximum number of items of both sides that are compared one by one, because the comparison
/// is quadratic if nothing is equal: Myers, "An O(ND) Difference Algorithm and Its Variations"
/// (1986).
const MAX_COMPARED: usize = 4_000;

/// Returns the edits that turn one string into another, in Unicode scalar values. Large differences
/// are compared by lines first.
pub(super) fn between(before: &str, after: &str) -> Delta {
    let before: Vec<char> = before.chars().collect();
    let after: Vec<char> = after.chars().collect();
    let start = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let rest = (&before[start..], &after[start..]);
    let end = rest.0.iter().rev().zip(rest.1.iter().rev()).take_while(|(a, b)| a == b).count();
    let mut delta = Delta::default();
    delta.push(DeltaItem::Retain(start));
    compare(&before[start..before.len() - end], &after[start..after.len() - end], &mut delta);
    delta
}

fn compare<'a>(before: &'a [char], after: &'a [char], delta: &mut Delta) {
    if before.len() + after.len() <= MAX_COMPARED {
        return compare_scalars(before, after, delta);
    }
    let (old, new) = (lines(before), lines(after));
    if old.len() + new.len() > MAX_COMPARED {
        return replace(before, after, delta);
    }
    // Lines are compared by numbers, because long ones may differ at their ends only.
    let mut numbers: BTreeMap<&[char], usize> = BTreeMap::new();
    let mut number = |line: &'a [char]| {
        let next = numbers.len();
        *numbers.entry(line).or_insert(next)
    };
    let old_lines: Vec<usize> = old.iter().map(|line| number(&before[line.clone()])).collect();
    let new_lines: Vec<usize> = new.iter().map(|line| number(&after[line.clone()])).collect();
    for op in capture_diff_slices(Algorithm::Myers, &old_lines, &new_lines) {
        let old = joined(&old, op.old_range());
        let new = joined(&new, op.new_range());
        match op {
            DiffOp::Equal { .. } => delta.push(DeltaItem::Retain(old.len())),
            _ if old.len() + new.len() <= MAX_COMPARED => {
                compare_scalars(&before[old], &after[new], delta);
            }
            _ => replace(&before[old], &after[new], delta),
        }
    }
}

fn compare_scalars(before: &[char], after: &[char], delta: &mut Delta) {
    for op in capture_diff_slices(Algorithm::Myers, before, after) {
        match op {
            DiffOp::Equal { len, .. } => delta.push(DeltaItem::Retain(len)),
            _ => replace(&before[op.old_range()], &after[op.new_range()], delta),
        }
    }
}

fn replace(before: &[char], after: &[char], delta: &mut Delta) {
    if !after.is_empty() {
        delta.push(DeltaItem::Insert(after.iter().collect()));
    }
    delta.push(DeltaItem::Delete(before.len()));
}

/// Returns the lines with their line breaks.
fn lines(text: &[char]) -> Vec<Range<usize>> {
    let mut start = 0;
    let lines = text.split_inclusive(|scalar| *scalar == '\n').map(|line| {
        let range = start..start + line.len();
        start = range.end;
        range
    });
    lines.collect()
}

/// Returns the range from the first to the last of some lines.
fn joined(lines: &[Range<usize>], range: Range<usize>) -> Range<usize> {
    match lines.get(range) {
        Some([first, .., last]) => first.start..last.end,
        Some([line]) => line.clone(),
        _ => 0..0,
    }
}
