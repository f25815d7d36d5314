//! What a writer writes, a reader reads, and nothing else.

use super::{
    column::ColumnWriter,
    error::{LoadError, damaged},
    reader::StateReader,
    writer::{StateWriter, Written},
};
use crate::{
    action::{NodeId, Stamp},
    crdt::{element::ElementId, op_id::OpId},
    json::Json,
};

fn written(write: impl FnOnce(&mut StateWriter)) -> Written {
    let mut writer = StateWriter::default();
    write(&mut writer);
    writer.finish()
}

fn read<T>(
    Written { text, content }: &Written,
    read: impl FnOnce(&mut StateReader<'_>) -> Result<T, LoadError>,
) -> Result<T, LoadError> {
    let mut reader = StateReader::new(text, content)?;
    let value = read(&mut reader)?;
    reader.end().map(|()| value)
}

#[test]
fn values_round_trip() {
    let node: NodeId = "20:b:c".parse().unwrap();
    let ops: [OpId; 3] =
        ["-8640000000000000 20:b:c 7", "8640000000000000 10:a:b 4294967295 3", "5 a 0 1"]
            .map(|id| id.parse().unwrap());
    let stamps: Vec<Stamp> = [(0, -3), (1, 5), (2, i64::MAX)]
        .map(|(op, ms)| ops[op].stamp(<_>::default()).shifted(ms))
        .into();
    let elements: [ElementId; 3] =
        ["@10:a:b 4294967294", "@b 0", "@10:a:b 7"].map(|id| id.parse().unwrap());
    let json = Json::new(r#"{"half":"\ud83d"}"#).unwrap();
    let saved = written(|writer| {
        writer.text("héllo");
        writer.unsigned(u64::MAX);
        writer.signed(i64::MIN);
        writer.boolean(true);
        writer.string("");
        writer.optional_json(None);
        ops.iter().for_each(|id| writer.op_id(id));
        stamps.iter().for_each(|stamp| writer.stamp(stamp));
        writer.optional_stamp(None);
        elements.iter().for_each(|id| writer.element_id(id));
        writer.json(&json);
        let mut column = ColumnWriter::default();
        column.push_delta(-5);
        column.push_delta(7);
        writer.column(column);
        let number = writer.node_number(&node);
        writer.numbered_node(number);
    });
    let result = read(&saved, |reader| {
        assert_eq!((reader.text(3)?, reader.text(3)?), ("hé", "llo"));
        assert_eq!((reader.unsigned()?, reader.signed()?), (u64::MAX, i64::MIN));
        assert_eq!((reader.boolean()?, reader.string()?), (true, ""));
        assert_eq!(reader.optional_json()?, None);
        for id in &ops {
            assert_eq!(reader.op_id()?, *id);
        }
        for stamp in &stamps {
            assert_eq!(reader.stamp()?, *stamp);
        }
        assert_eq!(reader.optional_stamp()?, None);
        for id in &elements {
            assert_eq!(reader.element_id()?, *id);
        }
        assert_eq!(reader.json()?, json);
        let mut column = reader.column()?;
        assert_eq!((column.next_delta()?, column.next_delta()?), (-5, 7));
        column.end()?;
        assert!(reader.nodes().is_sorted_by(|one, other| one < other));
        let index = reader.node_index()?;
        assert_eq!(reader.nodes()[index], node);
        Ok(())
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn a_node_id_is_written_once() {
    let content = |count: u32| {
        let node = NodeId::new("380:R7BNGAP5:px3-J3oc").unwrap();
        let ids = (0..count).map(|counter| ElementId::new(node.clone(), counter));
        written(|writer| ids.for_each(|id| writer.element_id(&id))).content.len()
    };
    // 63 elements take two bytes in two columns. The lengths of the columns take another one each.
    assert_eq!(content(63 * 101) - content(63), 100 * 4 + 2);
}

#[test]
fn keys_ascend() {
    let map = |keys: &[&str]| {
        let saved = written(|writer| {
            writer.unsigned(keys.len() as u64);
            keys.iter().for_each(|key| writer.string(key));
        });
        read(&saved, |reader| reader.map(|reader| Ok((reader.string()?.to_owned(), ()))))
    };
    assert_eq!(map(&["a", "b", "c"]).map(|map| map.len()), Ok(3));
    for keys in [["b", "a"], ["a", "a"]] {
        assert_eq!(map(&keys), Err(damaged("sorted keys")), "{keys:?}");
    }
}

#[test]
fn a_number_in_the_input_allocates_nothing() {
    let saved = written(|writer| writer.unsigned(u64::MAX));
    let strings = read(&saved, |reader| reader.map(|reader| Ok((reader.string()?.to_owned(), ()))));
    assert!(strings.is_err());
    let stamps = read(&saved, |reader| reader.map(|reader| Ok((reader.stamp()?, ()))));
    assert!(stamps.is_err());
    assert!(read(&saved, |reader| reader.bytes().map(<[u8]>::len)).is_err());
    // The number of nodes.
    let content = [&[0xff; 9][..], &[1]].concat();
    assert!(StateReader::new("", &content).is_err());
}

#[test]
fn nodes_are_sorted_and_nothing_is_left() {
    let empty: [u8; 7] = [0; 7];
    assert!(StateReader::new("", &empty).is_ok_and(|reader| reader.end().is_ok()));
    for left in 1..7 {
        let mut content = empty.to_vec();
        content[left] = 1;
        content.insert(left + 1, 0);
        let end = StateReader::new("", &content).and_then(|reader| reader.end());
        assert!(end.is_err(), "the field {left} has a byte");
    }
    assert!(StateReader::new("x", &empty).is_ok_and(|reader| reader.end().is_err()));
    for nodes in [&b"\x01b\x01a"[..], b"\x01a\x01a", b"\x01a\x01 ", b"\x01a\x01\xff"] {
        let content = [&[2], nodes, &[0; 6]].concat();
        assert!(StateReader::new("", &content).is_err(), "{nodes:?}");
    }
}
