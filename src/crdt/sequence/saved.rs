//! The saved form of a sequence: columns of runs.

use std::{collections::BTreeMap, sync::Arc};

use im::OrdMap;

use super::{
    Sequence, Waiting,
    claims::Operation,
    names::{Element, Names},
    ranges::Ranges,
    run::{Run, Side, Standing},
    runs::Runs,
};
use crate::{
    action::NodeId,
    crdt::{
        element::MAX_COUNTER,
        saving::{ColumnReader, ColumnWriter, LoadError, StateReader, StateWriter, damaged},
    },
    time::WallTime,
};

/// The bits of the column of kinds.
const LEFT: u64 = 1;
const REMOVED: u64 = 2;
const UNDONE: u64 = 4;
/// The right origin is not the first element after the subtree of the run.
const OTHER_RIGHT: u64 = 8;

impl Sequence {
    /// Writes the sequence. Equal sequences write the same.
    pub(in crate::crdt) fn encode(&self, writer: &mut StateWriter) {
        self.encode_runs(writer);
        self.encode_times(writer);
        self.encode_waiting(writer);
        self.encode_claims(writer);
    }

    fn encode_runs(&self, writer: &mut StateWriter) {
        let runs = self.normal_runs();
        let expected = expected_rights(runs.iter().map(|(run, _)| run));
        let [mut kinds, mut lens, mut counters, mut depths] =
            [(); 4].map(|()| ColumnWriter::default());
        let mut ends: BTreeMap<u32, u32> = BTreeMap::new();
        let mut depth = 0;
        let mut bytes = 0;
        writer.unsigned(runs.len() as u64);
        for ((run, text), expected) in runs.iter().zip(&expected) {
            writer.node(self.names.node(run.first.node));
            let mut kind = match run.side {
                Side::Left => LEFT,
                Side::Right => 0,
            };
            kind |= standing_bits(run.standing);
            if run.right != *expected {
                kind |= OTHER_RIGHT;
            }
            kinds.push(kind);
            lens.push(u64::from(run.len));
            let end = ends.entry(run.first.node).or_default();
            counters.push_signed(i64::from(run.first.counter) - i64::from(*end));
            *end = run.first.counter + run.len;
            depths.push_signed(i64::from(run.depth) - i64::from(depth) - 1);
            depth = run.depth + run.len - 1;
            bytes += text.len();
            writer.text(text);
        }
        for column in [kinds, lens, counters, depths] {
            writer.column(column);
        }
        writer.unsigned(bytes as u64);
        for (run, _) in
            runs.iter().zip(&expected).filter(|((run, _), expected)| run.right != **expected)
        {
            self.encode_optional(run.0.right, writer);
        }
    }

    /// Writes the times as changes along the counters of each node.
    fn encode_times(&self, writer: &mut StateWriter) {
        let mut known: Vec<(&NodeId, Element, u32)> = self
            .runs
            .iter()
            .map(|(run, _)| (run.first, run.len))
            .chain(self.waiting.values().map(|waiting| (waiting.first, waiting.len)))
            .map(|(first, len)| (self.names.node(first.node), first, len))
            .collect();
        known.sort();
        let mut changes: Vec<(&NodeId, u32, i64)> = Vec::new();
        for (node, first, len) in known {
            let end = first.plus(len);
            let later = self.times.starts_after(first).take_while(|(start, _)| *start < end);
            let own = self.times.get(first).map(|time| (first, time));
            for (start, time) in own.into_iter().chain(later) {
                let is_same =
                    |(other, _, last): &(&NodeId, u32, i64)| *other == node && *last == time;
                if !changes.last().is_some_and(is_same) {
                    changes.push((node, start.counter, time));
                }
            }
        }
        let [mut counters, mut times] = [(); 2].map(|()| ColumnWriter::default());
        writer.unsigned(changes.len() as u64);
        for (node, counter, time) in changes {
            writer.node(node);
            counters.push_delta(counter.into());
            times.push_delta(time);
        }
        writer.column(counters);
        writer.column(times);
    }

    fn encode_claims(&self, writer: &mut StateWriter) {
        let mut claims: Vec<_> = self
            .claims
            .unsettled()
            .map(|(first, len, operation)| {
                (self.names.node(first.node), first.counter, len, operation)
            })
            .collect();
        claims.sort();
        let mut columns = [(); 6].map(|()| ColumnWriter::default());
        writer.unsigned(claims.len() as u64);
        for (node, first, len, (is_undone, time, sequence, index)) in claims {
            writer.node(node);
            columns[0].push_delta(first.into());
            columns[1].push(len.into());
            columns[2].push_delta(time.as_millis());
            columns[3].push(sequence.into());
            columns[4].push(index.into());
            columns[5].push(is_undone.into());
        }
        columns.into_iter().for_each(|column| writer.column(column));
    }

    /// Writes what has no place in the order.
    fn encode_waiting(&self, writer: &mut StateWriter) {
        let mut waiting: Vec<&Waiting> = self.waiting.values().collect();
        waiting.sort_by_key(|waiting| self.id(waiting.first));
        writer.unsigned(waiting.len() as u64);
        for waiting in waiting {
            self.encode_optional(Some(waiting.first), writer);
            writer.unsigned(waiting.len.into());
            writer.string(&waiting.text);
            self.encode_optional(waiting.after, writer);
            self.encode_optional(waiting.before, writer);
            writer.unsigned(standing_bits(waiting.standing));
        }
        let mut removed: Vec<_> =
            self.removed.iter().map(|(first, len)| (self.id(*first), *len)).collect();
        removed.sort();
        writer.unsigned(removed.len() as u64);
        for (first, len) in removed {
            writer.node(first.node());
            writer.unsigned(first.counter().into());
            writer.unsigned(len.into());
        }
    }

    fn encode_optional(&self, element: Option<Element>, writer: &mut StateWriter) {
        writer.unsigned(element.map_or(0, |element| u64::from(element.counter) + 1));
        if let Some(element) = element {
            writer.node(self.names.node(element.node));
        }
    }

    /// Reads a sequence.
    pub(in crate::crdt) fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        let mut sequence = Self::default();
        let mut numbers = Numbers::default();
        sequence.decode_runs(reader, &mut numbers)?;
        sequence.decode_times(reader, &mut numbers)?;
        sequence.decode_waiting(reader, &mut numbers)?;
        sequence.decode_claims(reader, &mut numbers)?;
        Ok(sequence)
    }

    fn decode_runs(
        &mut self,
        reader: &mut StateReader<'_>,
        numbers: &mut Numbers,
    ) -> Result<(), LoadError> {
        let nodes = numbers.read_all(&mut self.names, reader)?;
        let [mut kinds, mut lens, mut counters, mut depths]: [ColumnReader<'_>; 4] =
            [reader.column()?, reader.column()?, reader.column()?, reader.column()?];
        let mut runs: Vec<Run> = Vec::with_capacity(nodes.len());
        let mut others = Vec::new();
        // The depth that follows the last element.
        let mut depth = 1;
        let mut elements: u32 = 0;
        for (index, node) in nodes.into_iter().enumerate() {
            let kind = kinds.next()?;
            let len = lens.next_u32()?;
            let counter = number_of(self.names.next(node), counters.next_signed()?)?;
            let own = number_of(depth, depths.next_signed()?)?;
            check_range(counter, len)?;
            elements = elements.checked_add(len).ok_or(damaged("fewer than 2^32 elements"))?;
            let last = own.checked_add(len).filter(|_| own > 0).ok_or(damaged("a depth"))?;
            // The expected counter follows the last run of the node, not the highest counter.
            self.names.force_next(node, counter + len);
            depth = last;
            let standing = standing_of(kind & (REMOVED | UNDONE))?;
            if kind & OTHER_RIGHT != 0 {
                others.push(index);
            }
            runs.push(Run {
                first: Element { node, counter },
                len,
                bytes: 0,
                depth: own,
                open: own,
                right: None,
                side: if kind & LEFT == 0 { Side::Right } else { Side::Left },
                standing,
            });
        }
        let bytes = usize::try_from(reader.unsigned()?).map_err(|_| damaged("a length"))?;
        let text = reader.text(bytes)?;
        if !set_open(&mut runs) || !is_disjoint(&runs) {
            return Err(damaged("the tree of elements"));
        }
        let expected = expected_rights(runs.iter());
        for (run, right) in runs.iter_mut().zip(expected) {
            run.right = right;
        }
        for index in others {
            runs[index].right = numbers.read_optional(&mut self.names, reader)?;
        }
        for run in &runs {
            self.names.set_next(run.first.node, run.first.counter + run.len);
            self.claims.add_settled(run.first, run.len);
        }
        self.runs = Runs::of(runs, text).ok_or(damaged("the text of the visible runs"))?;
        self.claims.settle();
        Ok(())
    }

    fn decode_times(
        &mut self,
        reader: &mut StateReader<'_>,
        numbers: &mut Numbers,
    ) -> Result<(), LoadError> {
        let nodes = numbers.read_all(&mut self.names, reader)?;
        let (mut counters, mut times) = (reader.column()?, reader.column()?);
        let mut starts = Vec::with_capacity(nodes.len());
        for node in nodes {
            let counter =
                u32::try_from(counters.next_delta()?).map_err(|_| damaged("a counter"))?;
            let time = times.next_delta()?;
            WallTime::checked_from_millis(time).ok_or(damaged("a time"))?;
            starts.push((Element { node, counter }, time));
        }
        self.times = Ranges::of(starts);
        Ok(())
    }

    fn decode_claims(
        &mut self,
        reader: &mut StateReader<'_>,
        numbers: &mut Numbers,
    ) -> Result<(), LoadError> {
        let nodes = numbers.read_all(&mut self.names, reader)?;
        let [mut firsts, mut lens, mut times, mut sequences, mut indexes, mut undone] = [
            reader.column()?,
            reader.column()?,
            reader.column()?,
            reader.column()?,
            reader.column()?,
            reader.column()?,
        ];
        for node in nodes {
            let counter = u32::try_from(firsts.next_delta()?).map_err(|_| damaged("a counter"))?;
            let len = lens.next_u32()?;
            check_range(counter, len)?;
            let time =
                WallTime::checked_from_millis(times.next_delta()?).ok_or(damaged("a time"))?;
            let is_undone = undone.next()? == 1;
            let operation: Operation =
                (is_undone, time, sequences.next_u32()?, indexes.next_u32()?);
            self.claims.restore(Element { node, counter }, len, operation);
        }
        Ok(())
    }

    fn decode_waiting(
        &mut self,
        reader: &mut StateReader<'_>,
        numbers: &mut Numbers,
    ) -> Result<(), LoadError> {
        for _ in 0..reader.unsigned()? {
            let first = numbers.read_optional(&mut self.names, reader)?;
            let first = first.ok_or(damaged("an element"))?;
            let len = reader.unsigned_u32()?;
            check_range(first.counter, len)?;
            let text: Arc<str> = reader.string()?.into();
            if !text.is_empty() && text.chars().count() != len as usize {
                return Err(damaged("a character for each element"));
            }
            let after = numbers.read_optional(&mut self.names, reader)?;
            let before = numbers.read_optional(&mut self.names, reader)?;
            let standing = standing_of(reader.unsigned()?)?;
            let is_unknown = |origin: &Element| !self.contains(*origin);
            let missing = [after, before].into_iter().flatten().find(is_unknown);
            let missing = missing.ok_or(damaged("an unknown origin of an insertion that waits"))?;
            self.names.set_next(first.node, first.counter + len);
            if !self.claims.add_if_unknown(first, len) {
                return Err(damaged("elements that are in one place"));
            }
            let waiting = Waiting { first, len, text, after, before, standing };
            self.waiting.insert((missing, first), waiting);
        }
        let mut removed = OrdMap::new();
        for _ in 0..reader.unsigned()? {
            let node = numbers.read(&mut self.names, reader)?;
            let counter = reader.unsigned_u32()?;
            let len = reader.unsigned_u32()?;
            check_range(counter, len)?;
            let first = Element { node, counter };
            if self.runs.is_any_in_effect(first, len) {
                return Err(damaged("elements without a place in the order"));
            }
            removed.insert(first, len);
        }
        self.removed = removed;
        Ok(())
    }
}

const fn standing_bits(standing: Standing) -> u64 {
    match standing {
        Standing::Visible => 0,
        Standing::Removed => REMOVED,
        Standing::Undone => UNDONE,
    }
}

const fn standing_of(bits: u64) -> Result<Standing, LoadError> {
    match bits {
        0 => Ok(Standing::Visible),
        REMOVED => Ok(Standing::Removed),
        UNDONE => Ok(Standing::Undone),
        _ => Err(damaged("the standing of elements")),
    }
}

/// Checks a range of counters.
fn check_range(first: u32, len: u32) -> Result<(), LoadError> {
    let end = first.checked_add(len).filter(|end| len > 0 && *end <= MAX_COUNTER);
    end.map(drop).ok_or(damaged("a range of elements"))
}

/// Returns a number that is saved as the difference to an expected one.
fn number_of(expected: u32, difference: i64) -> Result<u32, LoadError> {
    let number = i64::from(expected).checked_add(difference);
    number.and_then(|number| u32::try_from(number).ok()).ok_or(damaged("a number of 32 bits"))
}

/// The numbers of the nodes of a saved state.
#[derive(Default)]
struct Numbers(Vec<Option<u32>>);

impl Numbers {
    /// Reads a node, and returns its number in the sequence.
    fn read(&mut self, names: &mut Names, reader: &mut StateReader<'_>) -> Result<u32, LoadError> {
        let index = reader.node_index()?;
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        let number = self.0[index].unwrap_or_else(|| names.number(&reader.nodes()[index]));
        self.0[index] = Some(number);
        Ok(number)
    }

    /// Reads the number of nodes, and the nodes.
    fn read_all(
        &mut self,
        names: &mut Names,
        reader: &mut StateReader<'_>,
    ) -> Result<Vec<u32>, LoadError> {
        (0..reader.unsigned()?).map(|_| self.read(names, reader)).collect()
    }

    fn read_optional(
        &mut self,
        names: &mut Names,
        reader: &mut StateReader<'_>,
    ) -> Result<Option<Element>, LoadError> {
        let Some(counter) = reader.unsigned()?.checked_sub(1) else { return Ok(None) };
        let counter = u32::try_from(counter).map_err(|_| damaged("the counter of an element"))?;
        if counter > MAX_COUNTER {
            return Err(damaged("the counter of an element"));
        }
        Ok(Some(Element { node: self.read(names, reader)?, counter }))
    }
}

/// Returns for each run the first element after the subtree of its first element, which is the
/// right origin if nothing was inserted there at the same time.
fn expected_rights<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<Option<Element>> {
    let runs: Vec<&Run> = runs.collect();
    let mut expected = vec![None; runs.len()];
    // The later runs that end the subtree of an earlier one: their open levels ascend.
    let mut later: Vec<usize> = Vec::new();
    for (index, run) in runs.iter().enumerate().rev() {
        while later.last().is_some_and(|last| runs[*last].open > run.depth) {
            later.pop();
        }
        expected[index] = later.last().map(|last| runs[*last].first);
        while later.last().is_some_and(|last| runs[*last].open >= run.open) {
            later.pop();
        }
        later.push(index);
    }
    expected
}

/// Returns `true` if no element is in two runs.
fn is_disjoint(runs: &[Run]) -> bool {
    let mut ranges: Vec<(Element, u32)> = runs.iter().map(|run| (run.first, run.len)).collect();
    ranges.sort_unstable();
    ranges.windows(2).all(|pair| pair[0].0.plus(pair[0].1) <= pair[1].0)
}

/// Sets the open levels, which follow from the depths and sides. Returns `false` if these are not
/// those of a tree.
fn set_open(runs: &mut [Run]) -> bool {
    let mut first_children: Vec<Option<usize>> = vec![None; runs.len()];
    let mut is_first_child = vec![false; runs.len()];
    let mut later: Vec<usize> = Vec::new();
    for (index, run) in runs.iter().enumerate().rev() {
        while later.last().is_some_and(|last| runs[*last].depth >= run.depth) {
            later.pop();
        }
        if run.side == Side::Left {
            let parent = later.last().filter(|parent| runs[**parent].depth + 1 == run.depth);
            let Some(parent) = parent else { return false };
            // Walking backwards, the last one found is the first child.
            if let Some(before) = first_children[*parent].replace(index) {
                is_first_child[before] = false;
            }
            is_first_child[index] = true;
        }
        later.push(index);
    }
    for index in 0..runs.len() {
        if is_first_child[index] {
            continue;
        }
        let depth = runs[index].depth;
        let mut at = index;
        while let Some(child) = first_children[at] {
            runs[at].open = runs[at].depth + 1;
            at = child;
        }
        runs[at].open = depth;
    }
    let mut earlier: Vec<(u32, u32)> = Vec::new();
    runs.iter().all(|run| {
        while earlier.last().is_some_and(|(depth, _)| *depth >= run.depth) {
            earlier.pop();
        }
        let has_parent = earlier.last().is_some_and(|(_, last)| *last >= run.depth - 1);
        earlier.push((run.depth, run.depth + run.len - 1));
        run.side == Side::Left || run.depth == 1 || has_parent
    })
}
