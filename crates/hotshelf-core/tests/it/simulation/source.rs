//! The source of truth: rows with versions, and who is writing them.

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

/// An insert is promised nothing while somebody else writes the row or invalidates its
/// entry. So the two keep out of each other's way, as they would by a lock of the row.
#[derive(Default)]
struct Writers {
    inserting: u32,
    invalidating: u32,
}

/// The part of a row's lock that a task holds.
pub(crate) struct Writing<'a> {
    row: &'a Row,
    inserting: bool,
}

/// The prefix of all keys and tags.
pub(crate) const PREFIX: &str = "sim";

/// The tag that all rows with tags share.
pub(crate) const SHARED_TAG: &str = "shared";

/// Returns what the keys of all rows begin with.
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

    /// Commits a new version, and gives it.
    pub(crate) fn commit(&self) -> u64 {
        self.version.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Begins to write or to invalidate, unless somebody inserts.
    pub(crate) fn try_invalidating(&self) -> Option<Writing<'_>> {
        let mut writers = self.writers.lock();
        if writers.inserting > 0 {
            return None;
        }
        writers.invalidating += 1;
        Some(Writing { row: self, inserting: false })
    }

    /// Begins to insert, unless somebody writes or invalidates.
    pub(crate) fn try_inserting(&self) -> Option<Writing<'_>> {
        let mut writers = self.writers.lock();
        if writers.invalidating > 0 {
            return None;
        }
        writers.inserting += 1;
        Some(Writing { row: self, inserting: true })
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut writers = self.row.writers.lock();
        let count = if self.inserting { &mut writers.inserting } else { &mut writers.invalidating };
        *count -= 1;
    }
}
