//! The driver of the hub while the store cannot write.

use std::time::Duration;

use logux::{
    MonoTime,
    log::LogError,
    server::{Hub, Input},
    store::Store,
};
use logux_net::CloseReason;

use crate::{
    hub::{
        application::{ApplicationHandlers, record_earlier},
        driver::{HubDriver, MAX_RECEIVED, Next, Pending, connected_clients, presence, stats},
        handle::HubCommand,
        log_status::LogState,
        outage::Outage,
    },
    telemetry::event::Event,
};

impl<A: ApplicationHandlers, St: Store + Send + 'static> HubDriver<A, St> {
    /// Runs a round with the received commands, or waits while the store cannot write.
    ///
    /// A store that cannot begin has changed nothing, so the commands wait. After any other
    /// transient error, the hub may be ahead of its store: everything since the last commit is
    /// dropped, and the hub restarts when the store works.
    pub(super) fn advance(
        &mut self,
        pending: &mut Pending,
        round: &mut Vec<HubCommand>,
    ) -> Result<Next, LogError<St::Error>> {
        if self.outage.is_some() {
            return self.wait_for_store(pending, round);
        }
        let now = self.clock.now().mono;
        let needs_store = self.hub.is_busy() || round.iter().any(HubCommand::needs_store);
        if needs_store && let Err(error) = self.hub.begin() {
            self.begin_outage(now, error)?;
            return Ok(Next::Pause(Duration::ZERO));
        }
        match self.run_round(pending, round) {
            Ok(false) => Ok(Next::Receive),
            Ok(true) => Ok(Next::End),
            Err(error) => {
                self.begin_outage(now, error)?;
                // The commands that were not handled, in the order of arrival.
                round.reverse();
                self.close_connections(pending, round);
                Ok(Next::Pause(Duration::ZERO))
            }
        }
    }

    /// # Errors
    /// The error, if it is not transient.
    fn begin_outage(
        &mut self,
        now: MonoTime,
        error: LogError<St::Error>,
    ) -> Result<(), LogError<St::Error>> {
        if !Hub::<St>::is_transient(&error) {
            return Err(error);
        }
        self.handle.telemetry().record(&Event::StoreUnavailable { error: &error });
        let previous = self.last_outage.as_ref().map(|(outage, ended)| (outage, *ended));
        self.outage = Some(Outage::new(now, previous));
        self.handle.log_status().set(LogState::Waiting);
        Ok(())
    }

    /// Drops everything that is not committed, and closes all connections. The actions of the
    /// application that were not handled are kept.
    fn close_connections(&mut self, pending: &mut Pending, round: &mut Vec<HubCommand>) {
        self.handle.log_status().set(LogState::Closed);
        if let Some(outage) = &mut self.outage {
            outage.is_closed = true;
        }
        pending.outboxes.close_all(&CloseReason::Overloaded);
        pending.tickets.clear();
        pending.reads.clear();
        pending.pages.clear();
        let commands = std::mem::take(round);
        round.extend(commands.into_iter().filter_map(HubCommand::without_connection));
    }

    fn wait_for_store(
        &mut self,
        pending: &mut Pending,
        round: &mut Vec<HubCommand>,
    ) -> Result<Next, LogError<St::Error>> {
        let Some(mut outage) = self.outage.clone() else { return Ok(Next::Receive) };
        self.receive_during_outage(pending, round, outage.is_closed);
        // Also a command that was received together with the one that failed.
        if pending.is_stopped || round.iter().any(HubCommand::stops) {
            return Ok(Next::End);
        }
        let now = self.clock.now().mono;
        if outage.is_due(now) {
            let attempt = if outage.is_closed { self.restart() } else { self.hub.begin() };
            match attempt {
                Ok(()) => {
                    let took = now.since(outage.since);
                    self.handle.telemetry().record(&Event::StoreAvailable { took });
                    self.handle.log_status().set(LogState::Available);
                    (self.outage, self.last_outage) = (None, Some((outage, now)));
                    return self.advance(pending, round);
                }
                Err(error) if Hub::<St>::is_transient(&error) => outage.failed(now),
                Err(error) => return Err(error),
            }
        }
        let is_over = !outage.is_closed && now.since(outage.since) >= self.store_timeout;
        let pause = outage.pause(now);
        self.outage = Some(outage);
        if is_over {
            self.close_connections(pending, round);
        }
        Ok(Next::Pause(pause))
    }

    /// Restarts the hub from its store.
    fn restart(&mut self) -> Result<(), LogError<St::Error>> {
        self.hub.restart()?;
        if !std::mem::replace(&mut self.is_recorded, true) {
            record_earlier(&self.hub, &mut self.observers)?;
        }
        Ok(())
    }

    /// Handles the commands that need no store, and keeps the others for the next round. When there
    /// are too many, further ones wait in the queue, so that connections are not read; but if all
    /// connections are closed, they are dropped, so that the ends of connections are not held up.
    fn receive_during_outage(
        &mut self,
        pending: &mut Pending,
        round: &mut Vec<HubCommand>,
        is_closed: bool,
    ) {
        while is_closed || round.len() < MAX_RECEIVED {
            let Ok(command) = self.commands.try_recv() else { return };
            match command {
                // Actions in progress cannot be completed: they are processed after the next start.
                command if command.stops() => pending.is_stopped = true,
                HubCommand::Ping(reply) => drop(reply.send(())),
                HubCommand::Clients(reply) => {
                    drop(reply.send(connected_clients(&self.hub, &pending.outboxes)));
                }
                HubCommand::Presence(channels, limit, reply) => {
                    drop(reply.send(presence(&self.hub, &channels, limit)));
                }
                HubCommand::Stats(reply) => {
                    if let Ok(hub) = self.hub.stats() {
                        let _ = reply.send(stats(hub, &pending.outboxes));
                    }
                }
                command if is_closed => {
                    let kept = command.without_connection();
                    round.extend(kept.filter(|_| round.len() < MAX_RECEIVED));
                }
                command => round.push(command),
            }
        }
    }
}

impl HubCommand {
    /// Returns `true` if the server stops.
    const fn stops(&self) -> bool {
        matches!(self, Self::Input(Input::Drain) | Self::Stop)
    }

    /// Returns `true` if the command may write to the store.
    const fn needs_store(&self) -> bool {
        !matches!(
            self,
            Self::Ping(_)
                | Self::Stop
                | Self::Clients(_)
                | Self::Presence(..)
                | Self::Stats(_)
                | Self::Entry(..)
                | Self::LogPage(..)
        )
    }

    /// Returns the command if it does not belong to a connection or a request. Closes the
    /// connection of a client that joins.
    fn without_connection(self) -> Option<Self> {
        match self {
            Self::Join(_, outbox, _) => {
                outbox.close(CloseReason::Overloaded);
                None
            }
            Self::Input(
                Input::Add(_)
                | Input::Undo(_)
                | Input::Forget(_)
                | Input::Subscribe { .. }
                | Input::Drain,
            )
            | Self::Add(..)
            | Self::Ping(_)
            | Self::Stop
            | Self::Clients(_)
            | Self::Stats(_) => Some(self),
            _ => None,
        }
    }
}
