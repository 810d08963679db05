//! Connections for commands that block.

use std::sync::{Arc, Weak};

use hotshelf_core::sync::Mutex;
use hotshelf_redis::RedisClient;

use crate::fork::Process;
use crate::store::State;

/// The maximum number of connections that are kept open for the next command that blocks.
const MOST: usize = 8;

/// Connections for commands that block, between two of them.
pub(crate) struct Idle(Mutex<Clients>);

struct Clients {
    process: Process,
    /// The store that they belong to, until it is closed.
    of: Weak<State>,
    clients: Vec<RedisClient>,
}

impl Idle {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Clients::new(Weak::new())))
    }

    /// Takes one of a store, if there is one.
    pub(crate) fn take(&self, of: &Arc<State>) -> Option<RedisClient> {
        let mut clients = self.0.lock();
        if !Weak::ptr_eq(&clients.of, &Arc::downgrade(of)) {
            let before = std::mem::replace(&mut *clients, Clients::new(Arc::downgrade(of)));
            drop(clients);
            drop(before);
            return None;
        }
        clients.clients.pop()
    }

    /// Keeps one of a store, unless there are enough.
    pub(crate) fn keep(&self, of: &Arc<State>, client: RedisClient) {
        let mut clients = self.0.lock();
        let is_current = Weak::ptr_eq(&clients.of, &Arc::downgrade(of));
        if is_current && clients.clients.len() < MOST {
            clients.clients.push(client);
        }
    }
}

impl Clients {
    fn new(of: Weak<State>) -> Self {
        Self { process: Process::current(), of, clients: Vec::new() }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        if self.process.is_parent() {
            // Their sockets belong to the parent.
            std::mem::forget(std::mem::take(&mut self.clients));
        }
    }
}
