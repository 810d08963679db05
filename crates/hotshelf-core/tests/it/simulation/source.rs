//! The source of truth: rows with versions, and locks for their writers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hotshelf_core::cache::CallOptions;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{Key, Namespace, WireKey};

use super::scenario::Tagged;

/// A row, and the entry that caches it.
pub(crate) struct Row {
    pub(crate) key: WireKey,
    pub(crate) tags: Vec<String>,
    /// Those that are known only from its value.
    pub(crate) late_tags: Vec<String>,
    is_filled: AtomicBool,
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

/// The tag that rows share that know it only from their value.
pub(crate) const LATE_TAG: &str = "late";

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
            Tagged::Late => Vec::new(),
            Tagged::AlsoLate => vec![SHARED_TAG.to_owned()],
        };
        let late_tags = match tagged {
            Tagged::Late | Tagged::AlsoLate => vec![LATE_TAG.to_owned()],
            Tagged::Not | Tagged::Shared | Tagged::Twice => Vec::new(),
        };
        Self {
            key: namespace().wire_key(&Key::new(format!("row-{number}"))).unwrap(),
            tags,
            late_tags,
            is_filled: AtomicBool::new(false),
            version: AtomicU64::new(0),
            writers: Mutex::default(),
        }
    }

    /// Returns the options of a call that names the row's tags.
    pub(crate) fn options(&self) -> CallOptions {
        CallOptions::default().tags(Ok(&self.tags))
    }

    /// Returns all tags of its entry.
    pub(crate) fn all_tags(&self) -> impl Iterator<Item = &String> {
        self.tags.iter().chain(&self.late_tags)
    }

    /// Returns `true` if a load has stored its value.
    pub(crate) fn is_filled(&self) -> bool {
        self.is_filled.load(Ordering::Relaxed)
    }

    pub(crate) fn filled(&self) {
        self.is_filled.store(true, Ordering::Relaxed);
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
