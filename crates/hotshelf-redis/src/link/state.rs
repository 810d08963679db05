//! The state of a link, shared by its callers and its supervisor.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use event_listener::Event;
use hotshelf_core::backoff::Backoff;
use hotshelf_core::sync::{Mutex, RwLock};
use hotshelf_core::{Error, Moment};

use super::clock::ServerClock;
use super::dialer::Dialer;
use super::resolver::Resolver;
use crate::connection::{Connection, Listener};
use crate::options::Address;

pub(super) struct Shared {
    pub(super) dialer: Dialer,
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) supervision: RwLock<Supervision>,
    pub(super) changed: Event,
    pub(super) clock: ServerClock,
    /// When a connection to a demoted server may be given up next, and the pause after that.
    giving_up: Mutex<(Moment, Backoff)>,
    /// Whether it was logged that the server doesn't report changes to the near tier.
    pub(super) logged_silence: AtomicBool,
}

/// The pauses before a connection to a demoted server is given up again: a proxy may not have
/// noticed it yet, and the server may be a replica for good.
const GIVING_UP: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// The time without a demoted server after which the pauses begin anew.
const CALM: Duration = Duration::from_secs(10);

/// The state, and whether a supervisor is running.
pub(super) struct Supervision {
    pub(super) state: State,
    pub(super) is_supervised: bool,
}

#[derive(Clone)]
pub(super) enum State {
    /// Not used yet, or the first attempt to connect is in progress; also that after the loss
    /// of a connection that worked.
    New,
    /// Connected.
    Up { connection: Connection, address: Address, tracking: bool },
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
        let giving_up = Mutex::new((Moment::default(), GIVING_UP));
        let (changed, logged_silence) = (Event::new(), AtomicBool::new(false));
        let clock = ServerClock::default();
        Self { dialer, resolver, listener, supervision, changed, clock, giving_up, logged_silence }
    }

    /// Returns the connection if the link is up. If it was closed a moment ago, its next
    /// command fails.
    pub(super) fn connection(&self) -> Option<Connection> {
        match &self.supervision.read().state {
            State::Up { connection, .. } => Some(connection.clone()),
            _ => None,
        }
    }

    /// Returns the address of the server, if the link is up.
    pub(super) fn address(&self) -> Option<Address> {
        match &self.supervision.read().state {
            State::Up { address, .. } => Some(address.clone()),
            _ => None,
        }
    }

    /// Returns `true` if the connection to a demoted server may be given up now.
    pub(super) fn may_give_up(&self, connection: &Connection) -> bool {
        if connection.closed().is_some() {
            return false;
        }
        let runtime = &self.dialer.runtime;
        let now = runtime.now();
        let mut giving_up = self.giving_up.lock();
        let (next, pauses) = &mut *giving_up;
        let may = now >= *next;
        if may {
            if now.since(*next) > CALM {
                pauses.reset();
            }
            *next = now + pauses.next(runtime.random());
        }
        may
    }

    /// Waits for the outcome of the first attempt to connect, or to connect again after a
    /// connection was closed.
    pub(super) async fn attempted(&self, closed: Option<&Connection>) -> State {
        loop {
            let changed = self.changed.listen();
            let state = self.supervision.read().state.clone();
            match state {
                State::New => changed.await,
                State::Up { connection, .. }
                    if closed.is_some_and(|it| it.is_same(&connection)) =>
                {
                    changed.await;
                }
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
