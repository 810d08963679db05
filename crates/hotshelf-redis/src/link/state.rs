//! The state of a link, shared by its callers and its supervisor.

use std::sync::Arc;

use event_listener::Event;
use hotshelf_core::Error;
use hotshelf_core::sync::RwLock;

use super::dialer::Dialer;
use super::resolver::Resolver;
use crate::connection::{Connection, Listener};

pub(super) struct Shared {
    pub(super) dialer: Dialer,
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) supervision: RwLock<Supervision>,
    pub(super) changed: Event,
}

/// The state, and whether a supervisor is running.
pub(super) struct Supervision {
    pub(super) state: State,
    pub(super) is_supervised: bool,
}

#[derive(Clone)]
pub(super) enum State {
    /// Not used yet, or the first attempt to connect is in progress.
    New,
    /// Connected.
    Up { connection: Connection, tracking: bool },
    /// The last attempt has failed, or the connection was lost.
    Down(Error),
    /// Closed for good.
    Closed,
}

impl Shared {
    pub(super) fn new(
        dialer: Dialer,
        resolver: Arc<dyn Resolver>,
        listener: Arc<dyn Listener>,
    ) -> Self {
        let supervision = RwLock::new(Supervision { state: State::New, is_supervised: false });
        Self { dialer, resolver, listener, supervision, changed: Event::new() }
    }

    /// Returns the connection if the link is up. If it was closed a moment ago, its next
    /// command fails.
    pub(super) fn connection(&self) -> Option<Connection> {
        match &self.supervision.read().state {
            State::Up { connection, .. } => Some(connection.clone()),
            _ => None,
        }
    }

    /// Waits for the outcome of the first attempt to connect.
    pub(super) async fn attempted(&self) -> State {
        loop {
            let changed = self.changed.listen();
            let state = self.supervision.read().state.clone();
            match state {
                State::New => changed.await,
                state => return state,
            }
        }
    }

    /// Waits until the link is closed.
    pub(super) async fn closed(&self) {
        loop {
            let changed = self.changed.listen();
            if matches!(self.supervision.read().state, State::Closed) {
                return;
            }
            changed.await;
        }
    }

    /// Sets the state, unless the link is closed for good. Returns `true` if it was set.
    pub(super) fn set(&self, new: State) -> bool {
        let mut supervision = self.supervision.write();
        let open = !matches!(supervision.state, State::Closed);
        if open {
            supervision.state = new;
        }
        drop(supervision);
        self.changed.notify(usize::MAX);
        open
    }
}
