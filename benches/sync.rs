//! The sync node of a server: from actions to a frame, and from a frame to confirmed actions.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logux::{
    Action, Entry, Meta, NodeId, Now, WallTime,
    sync::{Config, Input, Node, Output},
};

const NOW: Now = Now::from_millis(1_564_508_138_460, 0);

/// Returns a server's node with an authenticated client.
fn server() -> Node {
    let mut node =
        Node::new(Config::server(NodeId::new("server:x").expect("a node id")).into(), ());
    node.handle(NOW, Input::Opened);
    node.handle(NOW, Input::Frame(r#"["connect",5,"10:client:tab",0]"#));
    while let Some(output) = node.poll_output() {
        if let Output::Authenticate(request) = output {
            node.handle(NOW, Input::Allow(request.token));
        }
    }
    node.send(NOW.mono, 0, &[]);
    node
}

fn entries(count: usize) -> Vec<Entry> {
    let action = Action::new(r#"{"type":"tasks/change","id":"abc","fields":{"title":"Tea"}}"#)
        .expect("an action");
    let entry = |n: usize| {
        let id = format!("{} 20:other:tab {n}", NOW.wall.as_millis() + 5).parse().expect("an id");
        let mut meta = Meta::new(id).with_time(WallTime::from_millis(NOW.wall.as_millis() + 4));
        meta.added = Some(n as u64);
        Entry::new(action.clone(), meta)
    };
    (1..=count).map(entry).collect()
}

fn sending(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode sync");
    for count in [1, 100] {
        let entries = entries(count);
        let mut node = server();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                node.send(NOW.mono, 7, &entries);
                while let Some(output) = node.poll_output() {
                    black_box(output);
                }
                node.handle(NOW, Input::Frame(r#"["synced",7]"#));
                while node.poll_output().is_some() {}
            });
        });
    }
    group.finish();
}

fn receiving(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode sync");
    for count in [1, 100] {
        let entry = r#",{"type":"tasks/change","id":"abc","fields":{"title":"Tea"}},{"id":[5,"10:client:tab",3],"time":4}"#;
        let frame = format!(r#"["sync",7{}]"#, entry.repeat(count));
        let mut node = server();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                node.handle(NOW, Input::Frame(black_box(&frame)));
                while let Some(output) = node.poll_output() {
                    if let Output::Received { batch, entries, .. } = output {
                        black_box(entries);
                        node.handle(NOW, Input::Persisted(batch));
                    }
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, sending, receiving);
criterion_main!(benches);
