//! All steps of an action in a server's hub: receive, persist, request, resend, answer, confirm.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logux::{
    Action, Entry, MemoryStore, Meta, NodeId, Now,
    action::{ActionId, Subprotocol},
    server::{Config, HandlerRequest, HandlerResponse, Hub, Input, Output, Recipients, SessionId},
    sync::BatchToken,
    testing::batch,
    time::WallTime,
};

/// The number of clients that send actions.
const CLIENTS: u64 = 50;

/// A hub with its clients, of which the first `subscribers` are subscribed.
struct World {
    hub: Hub<MemoryStore>,
    nodes: Vec<NodeId>,
    action: Action,
    millis: i64,
    sequence: u32,
    requests: Vec<HandlerRequest>,
    /// Tokens of confirmed batches, to be reused, because making one requires a sync node.
    batches: Vec<BatchToken>,
}

impl World {
    fn new(subscribers: u64) -> Self {
        let config = Config::new(NodeId::new("server:uuid").expect("a node id"));
        let mut world = Self {
            hub: Hub::new(config, MemoryStore::new()).expect("a hub"),
            nodes: (0..CLIENTS.max(subscribers))
                .map(|n| NodeId::new(format!("user{n}:client:tab")).expect("a node id"))
                .collect(),
            action: Action::new(r#"{"type":"tasks/change","id":"abc","fields":{"title":"Tea"}}"#)
                .expect("an action"),
            millis: 1_564_508_138_460,
            sequence: 0,
            requests: Vec::new(),
            batches: Vec::new(),
        };
        for (n, node) in world.nodes.clone().into_iter().enumerate() {
            let session = SessionId(n as u64);
            world.handle(Input::Join {
                session,
                node,
                subprotocol: Subprotocol::Number(0),
                headers: None,
                since: 0,
            });
        }
        let subscribe =
            Action::new(r#"{"type":"logux/subscribe","channel":"tasks"}"#).expect("an action");
        for n in 0..subscribers {
            world.receive(n, subscribe.clone());
            world.commit();
            world.respond();
            world.commit();
        }
        // Fill the inbox, so that each new action evicts an old one.
        for _ in 0..12_000 / CLIENTS {
            world.round();
        }
        world
    }

    fn handle(&mut self, input: Input) {
        self.hub.handle(Now::from_millis(self.millis, 0), input).expect("memory does not fail");
    }

    fn receive(&mut self, client: u64, action: Action) {
        self.sequence += 1;
        let id = ActionId::new(
            WallTime::from_millis(self.millis),
            self.nodes[client as usize].clone(),
            self.sequence,
        );
        let entries = vec![Entry::new(action, Meta::new(id))];
        let batch = self.batches.pop().unwrap_or_else(batch);
        self.handle(Input::Received { session: SessionId(client), batch, entries });
    }

    fn commit(&mut self) {
        self.hub.commit().expect("memory does not fail");
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Request(request) => self.requests.push(request),
                Output::Persisted(_, batch) => self.batches.push(batch),
                other => drop(black_box(other)),
            }
        }
    }

    fn respond(&mut self) {
        for request in std::mem::take(&mut self.requests) {
            self.handle(Input::Respond(
                request.id,
                HandlerResponse::Resend(Recipients::channel("tasks")),
            ));
            self.handle(Input::Respond(request.id, HandlerResponse::Approved(None)));
            self.handle(Input::Respond(request.id, HandlerResponse::Processed));
        }
    }

    /// Processes one action of each client.
    fn round(&mut self) {
        self.millis += 1;
        for client in 0..CLIENTS {
            self.receive(client, self.action.clone());
        }
        self.commit();
        self.respond();
        self.commit();
    }
}

fn life(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("life of an action");
    for subscribers in [0, 100] {
        let mut world = World::new(subscribers);
        group.throughput(Throughput::Elements(CLIENTS));
        group.bench_function(BenchmarkId::new("subscribers", subscribers), |bencher| {
            bencher.iter(|| world.round())
        });
    }
    group.finish();
}

criterion_group!(benches, life);
criterion_main!(benches);
