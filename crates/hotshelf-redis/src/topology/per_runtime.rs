//! Separate connections for each async runtime of the process.
//!
//! A connection is driven by a task, and a task by its runtime. A runtime that is idle, busy or
//! gone would leave the callers on others waiting, deadlines included. So each has its own.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use hotshelf_core::runtime::RuntimeId;
use hotshelf_core::sync::{Mutex, RwLock};
use hotshelf_core::{Error, Runtime};
use hotshelf_wire::Tracking;

use super::Topology;
use crate::connection::{CloseReason, Connection, Listener};
use crate::options::{Deployment, RedisOptions};
use crate::transport::Transport;

/// The servers, with separate connections for each runtime.
pub(crate) struct Topologies {
    options: RedisOptions,
    transport: Arc<dyn Transport>,
    runtime: Arc<dyn Runtime>,
    listener: Arc<dyn Listener>,
    /// The connections of the first runtime. Most processes have no other, and take no lock.
    first: OnceLock<Owned>,
    others: RwLock<Vec<Owned>>,
    /// The connections of subscriptions.
    listening: Mutex<Vec<Connection>>,
    /// The connections of clients that have their own, and of theirs.
    separate: Arc<Mutex<Vec<Weak<Self>>>>,
    /// Whether these are such connections. They don't wait for commands that block.
    is_separate: bool,
    closed: Arc<AtomicBool>,
}

/// The connections of one runtime; `None` if it is unknown.
type Owned = (Option<RuntimeId>, Arc<Topology>);

/// The connections of the current runtime.
pub(crate) enum Current<'a> {
    First(&'a Topology),
    Other(Arc<Topology>),
}

impl Topologies {
    pub(crate) fn new(
        options: &RedisOptions,
        transport: Arc<dyn Transport>,
        runtime: Arc<dyn Runtime>,
        listener: Arc<dyn Listener>,
    ) -> Self {
        Self {
            options: options.clone(),
            transport,
            runtime,
            listener,
            first: OnceLock::new(),
            others: RwLock::default(),
            listening: Mutex::default(),
            separate: Arc::default(),
            is_separate: false,
            closed: Arc::default(),
        }
    }

    /// Returns which key changes servers are asked to report.
    pub(crate) fn tracking(&self) -> &Tracking {
        &self.options.tracking
    }

    /// Returns `true` if keys are distributed over several servers.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.options.deployment, Deployment::Cluster(_))
    }

    /// Returns the connections of the runtime that this thread runs, which are opened on first
    /// use. A thread outside of any runtime shares those of the first one.
    ///
    /// # Errors
    /// Of kind `Closed`.
    pub(crate) fn current(&self) -> Result<Current<'_>, Error> {
        let id = self.runtime.current();
        let (first, topology) = self.first.get_or_init(|| (id, self.connected()));
        if *first == id || id.is_none() {
            return Ok(Current::First(topology));
        }
        if let Some(own) = find(&self.others.read(), id) {
            return Ok(Current::Other(own));
        }
        let mut others = self.others.write();
        let is_running =
            |owner: &Option<RuntimeId>| owner.is_none_or(|id| self.runtime.is_running(id));
        let ended: Vec<_> = others.extract_if(.., |(owner, _)| !is_running(owner)).collect();
        let own = find(&others, id).unwrap_or_else(|| {
            let own = self.connected();
            others.push((id, Arc::clone(&own)));
            own
        });
        // A store that is being closed has closed all others by now, or will.
        let closed = self.closed.load(Ordering::SeqCst);
        drop(others);
        drop(ended);
        if closed {
            own.close();
            return Err(CloseReason::Closed.into());
        }
        Ok(Current::Other(own))
    }

    fn connected(&self) -> Arc<Topology> {
        let (transport, runtime) = (Arc::clone(&self.transport), Arc::clone(&self.runtime));
        let listener = Arc::clone(&self.listener);
        Arc::new(Topology::new(&self.options, transport, runtime, listener))
    }

    /// Remembers the connection of subscriptions, which closes with the others.
    ///
    /// # Errors
    /// Of kind `Closed`, if they are closed.
    pub(crate) fn add_listening(&self, connection: &Connection) -> Result<(), Error> {
        let mut listening = self.listening.lock();
        if self.closed.load(Ordering::SeqCst) {
            connection.abort(CloseReason::Closed);
            return Err(CloseReason::Closed.into());
        }
        listening.retain(|connection| connection.closed().is_none());
        listening.push(connection.clone());
        Ok(())
    }

    /// Returns separate connections to the same servers, which close with these.
    pub(crate) fn separate(&self) -> Arc<Self> {
        let options = self.options.clone().tracking(Tracking::Off);
        let (transport, runtime) = (Arc::clone(&self.transport), Arc::clone(&self.runtime));
        let mut own = Self::new(&options, transport, runtime, Arc::clone(&self.listener));
        own.separate = Arc::clone(&self.separate);
        own.is_separate = true;
        own.closed = Arc::clone(&self.closed);
        let own = Arc::new(own);
        let mut separate = self.separate.lock();
        separate.retain(|other| other.strong_count() > 0);
        separate.push(Arc::downgrade(&own));
        drop(separate);
        if self.closed.load(Ordering::SeqCst) {
            own.close_all();
        }
        own
    }

    /// Closes the connections of all runtimes. Those of others are closed when these run next.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.close_all();
        let separate = std::mem::take(&mut *self.separate.lock());
        separate.iter().filter_map(Weak::upgrade).for_each(|own| own.close_all());
    }

    fn close_all(&self) {
        let ending = std::mem::take(&mut *self.listening.lock());
        ending.iter().for_each(|connection| connection.abort(CloseReason::Closed));
        let others: Vec<_> = self.others.read().clone();
        let first = &self.first.get_or_init(|| (None, self.connected())).1;
        for topology in others.iter().map(|(_, topology)| topology).chain([first]) {
            if self.is_separate {
                topology.abort();
            }
            topology.close();
        }
    }
}

impl Drop for Topologies {
    fn drop(&mut self) {
        if self.is_separate && self.first.get().is_some() {
            self.close_all();
        }
    }
}

fn find(others: &[Owned], id: Option<RuntimeId>) -> Option<Arc<Topology>> {
    let (_, own) = others.iter().find(|(owner, _)| *owner == id)?;
    Some(Arc::clone(own))
}

impl Deref for Current<'_> {
    type Target = Topology;

    fn deref(&self) -> &Topology {
        match self {
            Self::First(topology) => topology,
            Self::Other(topology) => topology,
        }
    }
}

impl fmt::Debug for Topologies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Topologies");
        debug.field("first", &self.first.get()).field("others", &*self.others.read());
        debug.finish_non_exhaustive()
    }
}
