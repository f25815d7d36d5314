//! Clients that are restarted, paused and cut off at any moment end with the state of a newcomer.
//!
//! `LOGUX_CASES` is the number of seeds.

use std::{path::Path, time::Duration};

use logux::{
    Json,
    crdt::{Crdt as _, Map, MapOp, Shared},
};
use logux_client::{Client, DeviceEvent, DocumentHandle, RecordHandle, RecordList};
use logux_server::testing::TestServer;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{TIMEOUT, server, settle, start, tasks};

/// A generator of numbers that are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        // xorshift64*, by Vigna.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }

    fn task(&mut self) -> String {
        self.below(6).to_string()
    }
}

fn filters() -> [Value; 4] {
    [json!({"done": false}), json!({"list": "a", "done": true}), json!({"list": "b"}), json!({})]
}

/// A device with what it shows.
struct Device {
    client: Client,
    lists: Vec<(usize, RecordList<Value>)>,
    records: Vec<RecordHandle<Value>>,
    note: DocumentHandle<Shared<Map>>,
}

impl Device {
    async fn start(server: &TestServer, user: &str, file: &Path) -> Self {
        let client = start(server, user, file);
        let note = client.document::<Map>("notes", "1").await.expect("open");
        Self { client, lists: Vec::new(), records: Vec::new(), note }
    }

    async fn step(&mut self, random: &mut Random) {
        let any = self.client.record::<Value>("tasks", &random.task()).await.expect("open");
        match random.below(16) {
            0..=1 => {
                let fields = json!({"title": random.task(), "list": "a", "done": false});
                drop(any.create(&fields));
            }
            2 => drop(any.change(&json!({"done": random.below(2) == 0}))),
            3 => drop(any.change(&json!({"list": if random.below(2) == 0 { "a" } else { "b" }}))),
            4 => drop(any.change(&json!({"title": random.task()}))),
            5 => drop(any.delete()),
            6 => {
                let path = format!("/{}", random.task()).parse().expect("a path");
                let value = Json::from_value(&random.below(100)).expect("a number");
                drop(self.note.operate(&[MapOp::Set { path, value }]));
            }
            7 => drop(self.note.undo().await.expect("running")),
            8..=9 => {
                let filter = usize::try_from(random.below(4)).expect("small");
                let list = tasks(&self.client, &filters()[filter]).await;
                self.lists.push((filter, list));
            }
            10 if !self.lists.is_empty() => drop(self.lists.remove(0)),
            11 => self.records.push(any),
            12 if !self.records.is_empty() => drop(self.records.remove(0)),
            13 => self.client.pause().expect("running"),
            14 => self.client.resume().expect("running"),
            _ => {
                let event = [DeviceEvent::Online, DeviceEvent::Asleep, DeviceEvent::Visible];
                let event = event[usize::try_from(random.below(3)).expect("small")];
                self.client.device_event(event).expect("running");
            }
        }
    }
}

async fn converge(seed: u64) {
    let server = server();
    let folder = tempfile::tempdir().expect("a folder");
    let files = ["a", "b"].map(|name| folder.path().join(name));
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut devices = Vec::new();
    for file in &files {
        devices.push(Device::start(&server, "ada", file).await);
    }
    for _ in 0..60 {
        let index = usize::try_from(random.below(2)).expect("small");
        if random.below(15) == 0 {
            let device = devices.remove(index);
            let kept: Vec<_> = device.lists.iter().map(|(filter, _)| *filter).collect();
            device.client.clone().close().await;
            drop(device);
            let mut device = Device::start(&server, "ada", &files[index]).await;
            for filter in kept {
                let list = tasks(&device.client, &filters()[filter]).await;
                device.lists.push((filter, list));
            }
            devices.insert(index, device);
        } else {
            devices[index].step(&mut random).await;
        }
        sleep(Duration::from_millis(
            [0, 0, 1, 30, 2_000][usize::try_from(random.below(5)).expect("small")],
        ))
        .await;
    }
    for device in &devices {
        device.client.device_event(DeviceEvent::Visible).expect("running");
        device.client.resume().expect("running");
    }
    for device in &devices {
        settle(&device.client).await;
    }
    let newcomer = Device::start(&server, "eve", &folder.path().join("c")).await;
    newcomer.note.loaded().await.expect("loaded");
    for (number, device) in devices.iter_mut().enumerate() {
        assert_eq!(
            device.note.state().to_json(),
            newcomer.note.state().to_json(),
            "seed {seed}, {number}"
        );
        for (filter, list) in &mut device.lists {
            let mut fresh = tasks(&newcomer.client, &filters()[*filter]).await;
            timeout(TIMEOUT, fresh.loaded()).await.expect("in time").expect("loaded");
            assert_eq!(list.list(), fresh.list(), "seed {seed}, {number}, {}", filters()[*filter]);
        }
        device.lists.clear();
        device.records.clear();
        let left = device.client.subscriptions().expect("running");
        assert_eq!(left.len(), 1, "seed {seed}: {left:?}");
        assert_eq!(device.client.flush(TIMEOUT).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn any_life_leads_to_the_state_of_a_newcomer() {
    let cases = std::env::var("LOGUX_CASES").ok().and_then(|count| count.parse().ok());
    for seed in 0..cases.unwrap_or(30) {
        converge(seed).await;
    }
}
