//! The connection to one server: it comes up in the background and comes back.

mod dialer;
mod place;
mod supervisor;

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use event_listener::Event;
use futures_util::future::{Either, select};
use hotshelf_core::{Error, Moment};
use hotshelf_wire::resp::Value;

use crate::connection::{Connection, Ended, Listener, Manner, Request};
use crate::errors;
pub(crate) use dialer::{Dialer, Dialled, ask_all, while_carried};
pub(crate) use place::{Fixed, Place};

/// A connection that is shared by all callers.
pub(crate) struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    dialer: Dialer,
    place: Arc<dyn Place>,
    listener: Arc<dyn Listener>,
    /// The state, and whether a supervisor looks after it.
    state: RwLock<(State, bool)>,
    changed: Event,
}

#[derive(Clone)]
enum State {
    /// Nobody has asked for the connection yet, or the first attempt is under way.
    New,
    /// Up, and whether the server tells of changes.
    Up(Connection, bool),
    Down(Error),
    Closed,
}

impl Link {
    /// Prepares a connection; nothing is sent before somebody asks for it.
    pub(crate) fn new(dialer: Dialer, place: Arc<dyn Place>, listener: Arc<dyn Listener>) -> Self {
        let (state, changed) = (RwLock::new((State::New, false)), Event::new());
        Self { shared: Arc::new(Shared { dialer, place, listener, state, changed }) }
    }

    /// Sends one command and gives its reply. While the server is away it fails at once;
    /// only the first attempt of all to connect is waited for, until the deadline.
    pub(crate) async fn ask(
        &self,
        request: &Request,
        manner: Manner,
        deadline: Moment,
    ) -> Result<Value, Error> {
        let connection = self.connection(deadline).await?;
        let reply = connection.ask(request, manner, deadline).await?;
        self.check_role(&connection, &reply);
        Ok(reply)
    }

    /// Sends commands at once and gives their replies in order. As [`Link::ask`] in all else.
    pub(crate) async fn ask_all<'a>(
        &self,
        requests: impl ExactSizeIterator<Item = &'a Request>,
        manner: Manner,
        deadline: Moment,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let connection = self.connection(deadline).await?;
        let replies = connection.ask_all(requests, manner, deadline).await?;
        replies.iter().flatten().for_each(|reply| self.check_role(&connection, reply));
        Ok(replies)
    }

    /// Says whether the server can be talked to, as far as is known.
    pub(crate) fn is_up(&self) -> bool {
        self.shared.up().is_some_and(|connection| connection.ended().is_none())
    }

    /// Says whether the server tells of changes to what is read from it.
    pub(crate) fn is_tracking(&self) -> bool {
        matches!(self.shared.read().0, State::Up(_, true))
    }

    /// Gives what it takes to open a connection to the same server that listens.
    pub(crate) fn listening(&self) -> (Dialer, Arc<dyn Place>) {
        (self.shared.dialer.for_listening(), Arc::clone(&self.shared.place))
    }

    /// Gives the connection.
    pub(crate) async fn connection(&self, deadline: Moment) -> Result<Connection, Error> {
        if let Some(connection) = self.shared.up() {
            return Ok(connection);
        }
        Shared::supervise(&self.shared);
        let runtime = &self.shared.dialer.runtime;
        let too_late = runtime.sleep(deadline.since(runtime.now()));
        match select(pin!(self.shared.settled()), too_late).await {
            Either::Left((State::Up(connection, _), _)) => Ok(connection),
            Either::Left((State::Down(error), _)) => Err(error),
            Either::Left((State::New | State::Closed, _)) => Err(Ended::Closed.into()),
            // Nothing was sent, so nothing is unknown.
            Either::Right(_) => Err(errors::unavailable("the server can't be reached in time")),
        }
    }

    /// An elected server that takes no writes was voted out.
    fn check_role(&self, connection: &Connection, reply: &Value) {
        if let Value::Error(error) = reply
            && error.code() == b"READONLY"
            && self.shared.place.is_elected()
        {
            connection.give_up(Ended::Replaced);
        }
    }

    /// Lets the connection go for good. Calls that are under way are still answered.
    pub(crate) fn close(&self) {
        let state = std::mem::replace(&mut self.shared.write().0, State::Closed);
        if let State::Up(connection, _) = state {
            connection.close();
        }
        self.shared.changed.notify(usize::MAX);
    }
}

impl Shared {
    /// Gives the connection if it is up. It may have ended just now: then it says so to
    /// whoever asks something of it.
    fn up(&self) -> Option<Connection> {
        match &self.read().0 {
            State::Up(connection, _) => Some(connection.clone()),
            _ => None,
        }
    }

    /// Waits until the first attempt has come to something.
    async fn settled(&self) -> State {
        loop {
            let changed = self.changed.listen();
            let state = self.read().0.clone();
            match state {
                State::New => changed.await,
                state => return state,
            }
        }
    }

    /// Waits until the link is closed.
    async fn closed(&self) {
        loop {
            let changed = self.changed.listen();
            if matches!(self.read().0, State::Closed) {
                return;
            }
            changed.await;
        }
    }

    /// Changes the state and says so, unless the link is closed, which is for good.
    fn set(&self, new: State) -> bool {
        let mut guard = self.write();
        let open = !matches!(guard.0, State::Closed);
        if open {
            guard.0 = new;
        }
        drop(guard);
        self.changed.notify(usize::MAX);
        open
    }

    /// No code that could panic half-way runs under the lock.
    fn read(&self) -> RwLockReadGuard<'_, (State, bool)> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, (State, bool)> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.shared.read().0 {
            State::New => "new",
            State::Up(..) => "up",
            State::Down(_) => "down",
            State::Closed => "closed",
        };
        let mut debug = formatter.debug_struct("Link");
        debug.field("place", &self.shared.place).field("state", &state).finish_non_exhaustive()
    }
}
