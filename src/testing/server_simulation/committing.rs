//! The commits of devices, and the failures of their stores.

use super::{
    Application, World,
    device::{DeviceStore, Uncommitted},
};
use crate::{
    action::ActionId,
    client::Client,
    log::LogError,
    replay::Timeline,
    store::Store as _,
    testing::{CrashStore, StoreFailure},
    time::Now,
};

impl<A: Application> World<A> {
    /// Calls the client of a device. If its store fails, the application cannot continue: it starts
    /// again with what is durable, as after a crash. Returns `None` then.
    pub(super) fn call<T>(
        &mut self,
        device: usize,
        call: impl FnOnce(
            &mut Client<DeviceStore, Timeline<A::Reducer>>,
            Now,
        ) -> Result<T, LogError<StoreFailure>>,
    ) -> Option<T> {
        let this = &mut self.devices[device];
        let now = this.clock.now(self.context.now_ms);
        let result = call(this.client_mut(), now);
        if let Err(error) = &result {
            self.context.record(|| format!("device {device}: {error}"));
            self.crash(device);
        }
        result.ok()
    }

    /// Lets the store of a device fail for some time. Has no effect without
    /// [`Config::device_store_failures`](super::Config::device_store_failures).
    pub(super) fn fail_device_store(&mut self, device: usize) {
        if !self.context.config.device_store_failures {
            return;
        }
        let random = &mut self.context.random;
        let failures = [StoreFailure::Full, StoreFailure::WriteFailed, StoreFailure::Locked];
        let failure = failures[usize::try_from(random.between(0, 2)).unwrap_or(0)];
        let ms = random.between(1, 2_000);
        self.context.record(|| format!("for {ms} ms, at device {device} {failure}"));
        self.context.counts.device_store_failures += 1;
        self.devices[device].fail_store(failure, self.context.now_ms + ms);
    }

    /// Executes the outputs of a client, after a commit, which may be later.
    pub(super) fn drain(&mut self, device: usize) {
        if self.devices[device].commits_at.is_none() {
            let is_later = self.context.random.one_in(3);
            let at = self.context.now_ms + self.context.random.between(0, 20);
            self.devices[device].commits_at = Some(at);
            if !is_later {
                self.commit_device(device);
            }
        }
    }

    pub(super) fn commit_device(&mut self, device: usize) {
        let this = &mut self.devices[device];
        this.commits_at = None;
        let now = this.clock.now(self.context.now_ms);
        if let Err(error) = this.client_mut().commit(now) {
            return self.commit_failed(device, &error);
        }
        for change in core::mem::take(&mut this.uncommitted) {
            match change {
                Uncommitted::Acted(id) => self.acted.push((device, id)),
                Uncommitted::Dropped(id) => self.dropped(id),
            }
        }
        self.execute_client(device);
        if self.devices[device].client().needs_commit() {
            self.drain(device);
        }
    }

    /// Half of the applications wait for their store without a connection, and the others start
    /// again.
    fn commit_failed(&mut self, device: usize, error: &LogError<StoreFailure>) {
        self.context.record(|| format!("device {device}: {error}"));
        // Those that are durable nevertheless.
        self.execute_client(device);
        if self.context.random.one_in(2) {
            return self.crash(device);
        }
        let at = self.context.now_ms + self.context.random.between(1, 100);
        self.devices[device].commits_at = Some(at);
        if self.devices[device].session.is_some() {
            self.disconnect(device);
        }
    }

    /// Decides about what the user of a device has done since the last commit, after a crash that
    /// left this store: a commit may fail when a part of it is durable. What is not durable must
    /// never reach the server. Returns the actions that are not dropped any more.
    pub(super) fn lose_uncommitted(
        &mut self,
        device: usize,
        durable: &CrashStore,
    ) -> Vec<ActionId> {
        self.devices[device].commits_at = None;
        let mut restored = Vec::new();
        for change in core::mem::take(&mut self.devices[device].uncommitted) {
            let (Uncommitted::Acted(id) | Uncommitted::Dropped(id)) = &change;
            let Ok(entry) = durable.by_id(id);
            match (change, entry.is_some()) {
                (Uncommitted::Acted(id), true) => self.acted.push((device, id)),
                (Uncommitted::Dropped(id), true) => restored.push(id),
                (Uncommitted::Acted(id), false) => drop(self.context.dropped.insert(id)),
                (Uncommitted::Dropped(id), false) => self.dropped(id),
            }
        }
        restored
    }

    fn dropped(&mut self, dropped: ActionId) {
        self.acted.retain(|(_, id)| *id != dropped);
        self.context.dropped.insert(dropped);
    }
}
