//! A server that reports changes, with two connections to one process.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hotshelf_core::backend::{Layer, Result};
use hotshelf_core::near::{NearTier, Source, TrackedRead};
use hotshelf_core::sync::Mutex;
use hotshelf_core::trailer::{CodecId, Trailer};
use hotshelf_core::{BoxFuture, Pattern, WireKey};
use hotshelf_memory::MemoryBackend;

use super::{turns, up_to};

/// The version of the entry before the change, and after it.
pub(crate) const OLD: u64 = 1;
pub(crate) const NEW: u64 = 2;

/// The server's clock, in milliseconds, when the process's clock shows none.
pub(crate) const EPOCH: u64 = 1_000_000;

/// A server with one entry, which changes once.
///
/// A reply may reach its caller long after it was sent, and behind reports that were sent after
/// it: callers are other threads than the one that handles the reports.
#[derive(Debug)]
pub(crate) struct Server {
    memory: MemoryBackend,
    near: OnceLock<(Arc<NearTier>, [Arc<Source>; 2])>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    version: u64,
    /// Whether the entry was read over the connection, and so its change is reported on it.
    tracked: [bool; 2],
}

impl Server {
    pub(crate) fn new(memory: MemoryBackend) -> Self {
        let state = Mutex::new(State { version: OLD, tracked: [false; 2] });
        Self { memory, near: OnceLock::new(), state }
    }

    pub(crate) fn near(&self) -> &Arc<NearTier> {
        &self.near.get().unwrap().0
    }

    pub(crate) fn sources(&self) -> &[Arc<Source>; 2] {
        &self.near.get().unwrap().1
    }

    /// Remembers that the entry was read over both connections.
    pub(crate) fn track_on_both(&self) {
        self.state.lock().tracked = [true; 2];
    }

    /// Changes the entry.
    pub(crate) fn change(&self) {
        self.state.lock().version = NEW;
    }

    /// Receives what a connection has to report, and returns `true` if the entry has changed.
    pub(crate) fn receive(&self, connection: usize, key: &WireKey) -> bool {
        let mut state = self.state.lock();
        let has_changed = state.version == NEW;
        let is_reported = has_changed && std::mem::take(&mut state.tracked[connection]);
        drop(state);
        if is_reported {
            self.near().changed(key);
        }
        has_changed
    }

    /// Changes the entry for the process itself, and reports nothing.
    async fn change_silently(&self) {
        turns(up_to(2)).await;
        self.change();
        turns(up_to(2)).await;
    }

    async fn read_over(&self, connection: usize) -> TrackedRead {
        let source = self.sources()[connection].before();
        turns(up_to(2)).await;
        let raw = Some(entry(self.execute_read(connection)));
        turns(up_to(3)).await;
        TrackedRead { raw, source: Some(source), is_unreported: false }
    }

    /// Returns the version, and remembers that it was read.
    fn execute_read(&self, connection: usize) -> u64 {
        let mut state = self.state.lock();
        state.tracked[connection] |= state.version == OLD;
        state.version
    }
}

/// Returns the entry of a version, which lives for long.
fn entry(version: u64) -> Bytes {
    let mut entry = version.to_string().into_bytes();
    let trailer = Trailer {
        codec: CodecId::JSON,
        absent: false,
        fill: [version as u8; 5],
        loaded_at: EPOCH,
        fresh_for: 1_000_000,
        lives_for: None,
        late_tags: false,
        load_time: 0,
        tags: Vec::new(),
    };
    trailer.append_to(&mut entry);
    entry.into()
}

/// Returns the version of an entry, or of a near one, which has no trailer.
pub(crate) fn version_of(entry: &[u8]) -> u64 {
    let value = Trailer::find(entry).map_or(0..entry.len(), |(value, _)| value);
    std::str::from_utf8(&entry[value]).unwrap().parse().unwrap()
}

impl Layer for Server {
    type Inner = MemoryBackend;

    fn inner(&self) -> Result<impl Deref<Target = MemoryBackend> + Send> {
        Ok(&self.memory)
    }

    fn on_report_to(&self, near: &Arc<NearTier>) -> bool {
        self.near.set((Arc::clone(near), [near.source(), near.source()])).is_ok()
    }

    fn on_read_tracked<'a>(
        &'a self,
        keys: &'a [WireKey],
    ) -> BoxFuture<'a, Result<Vec<TrackedRead>>> {
        Box::pin(async move {
            assert_eq!(keys.len(), 1, "there is one entry");
            Ok(vec![self.read_over(up_to(1) as usize).await])
        })
    }

    fn on_invalidate<'a>(&'a self, _: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async {
            self.change_silently().await;
            Ok(1)
        })
    }

    fn on_invalidate_matching<'a>(&'a self, _: &'a Pattern) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async {
            self.change_silently().await;
            Ok(1)
        })
    }
}
