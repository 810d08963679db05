//! The source of truth: rows with versions, and locks for their writers.

use std::sync::atomic::{AtomicU64, Ordering};

use hotshelf_core::cache::CallOptions;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{Key, Namespace, WireKey};

use super::scenario::Tagged;

/// A row, and the entry that caches it.
pub(crate) struct Row {
    pub(crate) key: WireKey,
    pub(crate) tags: Vec<String>,
    version: AtomicU64,
    writers: Mutex<Writers>,
}

/// The numbers of active writers of a row. An insert has no guarantees while another task
/// writes the row or invalidates its entry. So the two exclude each other, as with a lock of
/// the row.
#[derive(Default)]
struct Writers {
    inserting: u32,
    invalidating: u32,
}

/// A guard of a row's lock.
pub(crate) struct RowGuard<'a> {
    row: &'a Row,
    inserting: bool,
}

/// The prefix of all keys and tags.
pub(crate) const PREFIX: &str = "sim";

/// The tag that all tagged rows share.
pub(crate) const SHARED_TAG: &str = "shared";

/// Returns the namespace of all rows.
pub(crate) fn namespace() -> Namespace {
    Namespace::new("rows").prefix(PREFIX)
}

impl Row {
    pub(crate) fn new(number: usize, tagged: Tagged) -> Self {
        let own = format!("own-{number}");
        let tags = match tagged {
            Tagged::Not => Vec::new(),
            Tagged::Shared => vec![SHARED_TAG.to_owned()],
            Tagged::Twice => vec![SHARED_TAG.to_owned(), own],
        };
        Self {
            key: namespace().wire_key(&Key::new(format!("row-{number}"))).unwrap(),
            tags,
            version: AtomicU64::new(0),
            writers: Mutex::default(),
        }
    }

    /// Returns the options of a call that names the row's tags.
    pub(crate) fn options(&self) -> CallOptions {
        CallOptions::default().tags(Ok(&self.tags))
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// Commits a new version, and returns it.
    pub(crate) fn commit(&self) -> u64 {
        self.version.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Locks the row for a write or an invalidation, unless it is being inserted.
    pub(crate) fn try_invalidating(&self) -> Option<RowGuard<'_>> {
        let mut writers = self.writers.lock();
        if writers.inserting > 0 {
            return None;
        }
        writers.invalidating += 1;
        Some(RowGuard { row: self, inserting: false })
    }

    /// Locks the row for an insert, unless it is being written or invalidated.
    pub(crate) fn try_inserting(&self) -> Option<RowGuard<'_>> {
        let mut writers = self.writers.lock();
        if writers.invalidating > 0 {
            return None;
        }
        writers.inserting += 1;
        Some(RowGuard { row: self, inserting: true })
    }
}

impl Drop for RowGuard<'_> {
    fn drop(&mut self) {
        let mut writers = self.row.writers.lock();
        let count = if self.inserting { &mut writers.inserting } else { &mut writers.invalidating };
        *count -= 1;
    }
}
