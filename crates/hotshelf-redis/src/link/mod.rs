//! The connection to one server, opened and reopened in the background.
//!
//! A [`Dialer`] opens connections. A [`Link`] keeps one up: its supervisor finds the server
//! with a [`Resolver`], dials it, and dials again when the connection is lost.

mod bulk;
mod clock;
mod dialer;
mod finding;
mod liveness;
mod resolver;
mod role;
mod span;
mod state;
mod supervisor;
mod vouching;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hotshelf_core::timeout::Timeout;
use hotshelf_core::{Error, Moment};
use hotshelf_wire::resp::Value;

use crate::connection::{CloseReason, Connection, Listener, Request, Routing};
use crate::errors;
use bulk::Bulk;
use clock::Reading;
pub(crate) use dialer::{Dialer, Dialled, drive, send_all};
pub(crate) use finding::{Found, find, successor};
pub(crate) use liveness::until_silent;
pub(crate) use resolver::{Fixed, Resolver};
use state::{Shared, State};

/// The connection to one server, shared by all callers.
pub(crate) struct Link {
    shared: Arc<Shared>,
    /// The connection for large values, once there was one.
    bulk: OnceLock<Box<Bulk>>,
}

impl Link {
    /// Creates a link; it connects on first use.
    pub(crate) fn new(
        dialer: Dialer,
        resolver: Arc<dyn Resolver>,
        listener: Arc<dyn Listener>,
    ) -> Self {
        Self { shared: Arc::new(Shared::new(dialer, resolver, listener)), bulk: OnceLock::new() }
    }

    /// Sends one command and returns its reply. Fails at once while the server is down; only
    /// the first attempt to connect, or to connect again, is awaited, for as long as the timeout.
    pub(crate) async fn send(
        &self,
        request: &Request,
        routing: Routing,
        timeout: Duration,
    ) -> Result<Value, Error> {
        if request.is_large() && self.bulk().is_ready() {
            let sent = self.bulk().send_all(std::iter::once(request), routing, timeout);
            // Boxed, as it is rare.
            return Box::pin(sent).await?.pop().unwrap_or(Ok(Value::Nil));
        }
        let span = span::sending(std::iter::once(request));
        let reply = self.send_one(request, routing, timeout).await;
        span::end(&span, &self.shared, [&reply]);
        reply
    }

    async fn send_one(
        &self,
        request: &Request,
        routing: Routing,
        mut timeout: Duration,
    ) -> Result<Value, Error> {
        let queue = |connection: &Connection, timeout| {
            let began = request.clock.map(|_| self.shared.dialer.runtime.uptime());
            Ok((began, connection.send(request, routing, timeout)?))
        };
        let (connection, (began, sent)) = self.queued(&mut timeout, queue).await?;
        let reply = sent.await?;
        self.check(&connection, &reply);
        if let (Some(read), Some(began)) = (request.clock, began) {
            self.read_clock(began, read(&reply));
        }
        Ok(reply)
    }

    /// Sends commands together and returns their replies in order. Waits like [`Link::send`].
    pub(crate) async fn send_all<'a>(
        &self,
        requests: impl ExactSizeIterator<Item = &'a Request> + Clone,
        routing: Routing,
        timeout: Duration,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        match requests.clone().any(Request::is_large) && self.bulk().is_ready() {
            true => Box::pin(self.bulk().send_all(requests, routing, timeout)).await,
            false => self.send_at_once(requests, routing, timeout).await,
        }
    }

    fn bulk(&self) -> &Bulk {
        let bulk = self.bulk.get_or_init(|| {
            let Shared { dialer, resolver, listener, .. } = &*self.shared;
            let (resolver, listener) = (Arc::clone(resolver), Arc::clone(listener));
            Box::new(Bulk::new(Self::new(dialer.for_listening(), resolver, listener)))
        });
        // A link that was closed meanwhile stays so.
        if matches!(self.shared.supervision.read().state, State::Closed) {
            bulk.close();
        }
        bulk
    }

    async fn send_at_once<'a>(
        &self,
        requests: impl ExactSizeIterator<Item = &'a Request> + Clone,
        routing: Routing,
        timeout: Duration,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let span = span::sending(requests.clone());
        let replies = self.send_together(requests, routing, timeout).await;
        match &replies {
            Ok(replies) => span::end(&span, &self.shared, replies),
            Err(error) => span::end(&span, &self.shared, [&Err(error.clone())]),
        }
        replies
    }

    async fn send_together<'a>(
        &self,
        requests: impl ExactSizeIterator<Item = &'a Request> + Clone,
        routing: Routing,
        mut timeout: Duration,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let tell_time = requests.clone().any(|request| request.clock.is_some());
        let queue = |connection: &Connection, timeout| {
            let began = tell_time.then(|| self.shared.dialer.runtime.uptime());
            Ok((began, connection.send_all(requests.clone(), routing, timeout)?))
        };
        let (connection, (began, sent)) = self.queued(&mut timeout, queue).await?;
        let replies = sent.await;
        replies.iter().flatten().for_each(|reply| self.check(&connection, reply));
        if let Some(began) = began {
            let told = requests.zip(&replies).find_map(|(request, reply)| {
                let (read, reply) = (request.clock?, reply.as_ref().ok()?);
                read(reply)
            });
            self.read_clock(began, told);
        }
        Ok(replies)
    }

    /// Learns from a request that was sent at this time, and answered just now, what the server's
    /// clock showed in between.
    fn read_clock(&self, began: Moment, told: Option<u64>) {
        let now = self.shared.dialer.runtime.uptime();
        told.into_iter()
            .for_each(|millis| self.shared.clock.note(Reading::new(began, now, millis)));
    }

    /// Returns an estimate of the server's clock, in milliseconds; `None` before it was read.
    pub(crate) fn clock(&self) -> Option<u64> {
        self.shared.clock.at(self.shared.dialer.runtime.uptime())
    }

    /// Queues commands on the connection or, if that was just closed, on the next one, and
    /// returns the one that was used.
    async fn queued<S>(
        &self,
        timeout: &mut Duration,
        queue: impl Fn(&Connection, Duration) -> Result<S, Error>,
    ) -> Result<(Connection, S), Error> {
        let mut connection = self.connection(timeout).await?;
        let mut sent = queue(&connection, *timeout);
        if sent.is_err() && connection.closed().is_some() {
            connection = self.next_connection(&connection, timeout).await?;
            sent = queue(&connection, *timeout);
        }
        Ok((connection, sent?))
    }

    /// Returns `true` if the connection is open.
    pub(crate) fn is_up(&self) -> bool {
        self.shared.connection().is_some_and(|connection| connection.closed().is_none())
    }

    /// Returns `true` if the server reports changes of the keys that were read from it.
    pub(crate) fn is_tracking(&self) -> bool {
        matches!(self.shared.supervision.read().state, State::Up { tracking: true, .. })
    }

    /// Returns a dialer and a resolver for a listening connection to the same server.
    pub(crate) fn listening(&self) -> (Dialer, Arc<dyn Resolver>) {
        (self.shared.dialer.for_listening(), Arc::clone(&self.shared.resolver))
    }

    /// Returns the connection. Only the first attempt to connect is awaited, which reduces the
    /// timeout.
    pub(crate) async fn connection(&self, timeout: &mut Duration) -> Result<Connection, Error> {
        match self.shared.connection() {
            Some(connection) => Ok(connection),
            None => self.attempted(None, timeout).await,
        }
    }

    /// Returns the connection after one that was closed. Only the first attempt to connect again
    /// is awaited, which reduces the timeout.
    async fn next_connection(
        &self,
        closed: &Connection,
        timeout: &mut Duration,
    ) -> Result<Connection, Error> {
        // Boxed, as it is rare.
        Box::pin(self.attempted(Some(closed), timeout)).await
    }

    async fn attempted(
        &self,
        closed: Option<&Connection>,
        timeout: &mut Duration,
    ) -> Result<Connection, Error> {
        Shared::supervise(&self.shared);
        let runtime = &*self.shared.dialer.runtime;
        let mut waiting = Timeout::new(*timeout);
        let attempted = waiting.run(runtime, self.shared.attempted(closed)).await;
        *timeout = waiting.left(runtime);
        match attempted {
            Some(State::Up { connection, .. }) => Ok(connection),
            Some(State::Down(error)) => Err(error),
            Some(State::New | State::Closed) => Err(CloseReason::Closed.into()),
            // Not a timeout of the command: it was not sent, so its outcome is known.
            None => Err(errors::unavailable("no connection to the server in time")),
        }
    }

    /// Looks for what an error tells about the server.
    fn check(&self, connection: &Connection, reply: &Value) {
        let Value::Error(error) = reply else { return };
        match error.code() {
            // It was demoted, and the name or the proxy of its address may lead to the new
            // primary by now.
            b"READONLY" if self.shared.may_give_up(connection) => {
                connection.abort(CloseReason::Demoted);
            }
            // It reports no changes of keys that are no longer its own, or has stopped serving.
            b"MOVED" | b"ASK" | b"CLUSTERDOWN" | b"MASTERDOWN" | b"LOADING" => {
                connection.source().into_iter().for_each(|source| source.end())
            }
            _ => {}
        }
    }

    /// Closes the connection at once: commands in flight fail.
    pub(crate) fn abort(&self) {
        if let Some(connection) = self.shared.connection() {
            connection.abort(CloseReason::Closed);
        }
        if let Some(bulk) = self.bulk.get() {
            bulk.abort();
        }
    }

    /// Closes the link for good. Calls in flight still complete.
    pub(crate) fn close(&self) {
        let before = std::mem::replace(&mut self.shared.supervision.write().state, State::Closed);
        if let Some(bulk) = self.bulk.get() {
            bulk.close();
        }
        if let State::Up { connection, .. } = before {
            connection.close();
        }
        self.shared.changed.notify(usize::MAX);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.shared.supervision.read().state {
            State::New => "new",
            State::Up { .. } => "up",
            State::Down(_) => "down",
            State::Closed => "closed",
        };
        let mut debug = formatter.debug_struct("Link");
        debug.field("resolver", &self.shared.resolver).field("state", &state);
        debug.finish_non_exhaustive()
    }
}
