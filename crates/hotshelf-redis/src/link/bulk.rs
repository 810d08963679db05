//! The connection for large values.
//!
//! A connection carries replies one after the other, so that a small one waits for all large ones
//! before it. Large ones therefore have a connection of their own, which is opened on first use.
//! Until it is up, and where it can't be opened, they share the other one.

use std::time::Duration;

use hotshelf_core::Error;
use hotshelf_core::timeout::Timeout;
use hotshelf_wire::GRACE;
use hotshelf_wire::resp::Value;
use mea::semaphore::Semaphore;

use super::Link;
use super::state::Shared;
use crate::connection::{Request, Routing};
use crate::errors;

/// The size of the values in flight, in KiB, unless one alone is larger. The server copies them
/// for all commands that it has received on a connection before it turns to others.
const AT_ONCE: usize = 16 << 10;

pub(super) struct Bulk {
    link: Link,
    /// First come, first served.
    room: Semaphore,
}

impl Bulk {
    pub(super) fn new(link: Link) -> Self {
        Self { link, room: Semaphore::new(AT_ONCE) }
    }

    /// Returns `true` if the connection is up, and begins to open it otherwise.
    pub(super) fn is_ready(&self) -> bool {
        let is_up = self.link.is_up();
        if !is_up {
            Shared::supervise(&self.link.shared);
        }
        is_up
    }

    pub(super) async fn send_all<'a>(
        &self,
        requests: impl ExactSizeIterator<Item = &'a Request> + Clone,
        routing: Routing,
        timeout: Duration,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let size = requests.clone().map(Request::size).sum::<usize>().div_ceil(1 << 10);
        let size = size.min(AT_ONCE);
        let runtime = &*self.link.shared.dialer.runtime;
        // The server is replying to others: as on one connection, that is waited for longer.
        let mut waiting = Timeout::new(timeout + GRACE / 2);
        let Some(_room) = waiting.run(runtime, self.room.acquire(size)).await else {
            return Err(errors::unavailable("too many large values: others are not sent yet"));
        };
        let timeout = timeout.min(waiting.left(runtime) + GRACE / 2);
        self.link.send_at_once(requests, routing, timeout).await
    }

    pub(super) fn abort(&self) {
        self.link.abort();
    }

    pub(super) fn close(&self) {
        self.link.close();
    }
}
