//! The life of one entry, as it is promised: what a call is given, and whether its loader runs.

use std::time::Duration;

use hotshelf::Remaining;

/// A time that is always over.
const PAST: u64 = 0;

/// By how much an expired value was fresh for less than until it was made stale.
const CLOCKS_DIFFER: u64 = 250;

/// The options of the cache, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) time_to_live: u64,
    pub(super) revalidate: u64,
    pub(super) on_error: u64,
    pub(super) throttle: u64,
    pub(super) backoff: u64,
}

/// What a test does to the key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Advance(u64),
    Change(Process, Change),
    Load(Load),
    Get(Process),
    Remaining(Process),
}

/// One of two stores.
pub(super) type Process = usize;

#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Expire,
    InvalidateKey,
    InvalidateTag,
    Insert,
}

/// A call that may load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) process: Process,
    /// Whether its loader may run in the background.
    pub(super) apart: bool,
    pub(super) fails: bool,
    /// How long its loader takes.
    pub(super) takes: u64,
    /// What happens while its loader runs.
    pub(super) meanwhile: Option<(Process, Change)>,
}

/// What a call is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Value(u32),
    Failed,
    BackingOff(Duration),
}

/// How a call may use the entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Fresh(u32),
    WhileRevalidating(u32),
    OnError(u32),
    No,
}

#[derive(Clone, Copy)]
struct Entry {
    value: u32,
    loaded_at: u64,
    fresh_for: u64,
    /// Whether it was written to outlive its freshness, or was made to.
    outlives: bool,
    ends_at: u64,
    tag: u32,
    /// Changes with everything that is written.
    edition: u32,
}

/// A failed load of an entry that this process does not ask to repeat.
#[derive(Clone, Copy)]
struct Paused {
    until: u64,
    edition: u32,
}

/// The key, as both stores share it.
pub(super) struct Reference {
    options: Options,
    pub(super) now: u64,
    entry: Option<Entry>,
    /// The version of its tag.
    tag: u32,
    /// Until when a failed load is not repeated, by any process.
    failed_until: u64,
    /// What each process remembers of that.
    paused: [Option<Paused>; 2],
    editions: u32,
    /// The last value that was written or loaded.
    pub(super) last: u32,
}

impl Reference {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            now: 0,
            entry: None,
            tag: 0,
            failed_until: PAST,
            paused: [None; 2],
            editions: 0,
            last: 0,
        }
    }

    pub(super) fn get(&self) -> Option<u32> {
        match self.usable() {
            Use::Fresh(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn remaining(&self) -> Remaining {
        match (self.usable(), self.entry()) {
            (Use::Fresh(_), Some(entry)) => {
                Remaining::After(Duration::from_millis(entry.fresh_until() - self.now))
            }
            _ => Remaining::Missing,
        }
    }

    pub(super) fn change(&mut self, change: Change) -> bool {
        match change {
            Change::Expire => self.expire(),
            Change::InvalidateKey => {
                self.entry = None;
                self.failed_until = PAST;
                true
            }
            Change::InvalidateTag => {
                self.tag += 1;
                true
            }
            Change::Insert => {
                self.last += 1;
                self.store(self.last, self.now, self.tag);
                true
            }
        }
    }

    fn expire(&mut self) -> bool {
        let (now, edition) = (self.now, self.editions + 1);
        let whole = self.options.time_to_live + self.window();
        let Some(mut entry) = self.entry().filter(|entry| entry.tag == self.tag) else {
            return false;
        };
        let margin = match entry.outlives {
            true => CLOCKS_DIFFER.min((whole - entry.fresh_for) / 8),
            false => CLOCKS_DIFFER,
        };
        let age = (now - entry.loaded_at).saturating_sub(margin);
        if age < entry.fresh_for || !entry.outlives {
            entry.fresh_for = entry.fresh_for.min(age);
            entry.outlives = true;
            entry.edition = edition;
            self.editions = edition;
            self.entry = Some(entry);
        }
        true
    }

    /// Returns what a call is given, and whether its loader runs.
    pub(super) fn load(&mut self, load: Load) -> (Given, bool) {
        let (found, edition) = (self.usable(), self.entry().map_or(0, |entry| entry.edition));
        let is_marked = self.failed_until > self.now;
        let left = Duration::from_millis(self.failed_until.saturating_sub(self.now));
        match found {
            Use::Fresh(value) => (Given::Value(value), false),
            Use::WhileRevalidating(value) | Use::OnError(value) => {
                if self.is_paused(load.process, edition) {
                    return (Given::Value(value), false);
                }
                if is_marked {
                    self.pause(load.process, self.failed_until, edition);
                    return (Given::Value(value), false);
                }
                let given = self.run(load, Some(edition));
                let apart = load.apart && found == Use::WhileRevalidating(value);
                (if apart { Given::Value(value) } else { given }, true)
            }
            Use::No if is_marked && self.options.backoff > 0 => (Given::BackingOff(left), false),
            Use::No => (self.run(load, None), true),
        }
    }

    /// Runs a loader, whose call has found this edition stale; otherwise it replaces a mark.
    fn run(&mut self, load: Load, stale: Option<u32>) -> Given {
        let (began, tag) = (self.now, self.tag);
        let mut may_fill = true;
        self.failed_until = PAST;
        self.now += load.takes;
        if let Some((_, change)) = load.meanwhile {
            self.change(change);
            may_fill &= !matches!(change, Change::InvalidateKey | Change::Insert);
        }
        if !load.fails {
            self.last += 1;
            if may_fill {
                self.store(self.last, began, tag);
            }
            return Given::Value(self.last);
        }
        if may_fill {
            self.mark();
        }
        let Some(edition) = stale else { return Given::Failed };
        let usable = self.usable();
        // A process that revalidates leaves the key alone, whatever it finds.
        self.pause(load.process, self.now + self.pause_with_entry(), edition);
        match usable {
            Use::Fresh(value) | Use::WhileRevalidating(value) | Use::OnError(value) => {
                Given::Value(value)
            }
            Use::No => Given::Failed,
        }
    }

    fn mark(&mut self) {
        let pause = match self.entry() {
            Some(entry) => self.pause_with_entry().min(entry.ends_at - self.now),
            None => self.options.backoff,
        };
        self.failed_until = self.now + pause;
    }

    fn pause_with_entry(&self) -> u64 {
        let Options { throttle, backoff, .. } = self.options;
        if self.window() > 0 { throttle.max(backoff) } else { backoff }
    }

    fn store(&mut self, value: u32, loaded_at: u64, tag: u32) {
        let fresh_for = self.options.time_to_live;
        self.editions += 1;
        self.failed_until = PAST;
        self.entry = Some(Entry {
            value,
            loaded_at,
            fresh_for,
            outlives: self.window() > 0,
            ends_at: self.now + fresh_for + self.window(),
            tag,
            edition: self.editions,
        });
    }

    /// Returns the entry that is stored, whether or not it may be used.
    fn entry(&self) -> Option<Entry> {
        self.entry.filter(|entry| entry.ends_at > self.now)
    }

    fn usable(&self) -> Use {
        let Some(entry) = self.entry().filter(|entry| entry.tag == self.tag) else {
            return Use::No;
        };
        let Some(past) = self.now.checked_sub(entry.fresh_until()) else {
            return Use::Fresh(entry.value);
        };
        if past < self.options.revalidate {
            Use::WhileRevalidating(entry.value)
        } else if past < self.options.on_error {
            Use::OnError(entry.value)
        } else {
            Use::No
        }
    }

    fn window(&self) -> u64 {
        self.options.revalidate.max(self.options.on_error)
    }

    fn is_paused(&self, process: Process, edition: u32) -> bool {
        let is_it = |paused: &Paused| paused.until > self.now && paused.edition == edition;
        self.paused[process].as_ref().is_some_and(is_it)
    }

    fn pause(&mut self, process: Process, until: u64, edition: u32) {
        self.paused[process] = Some(Paused { until, edition });
    }
}

impl Entry {
    /// An entry that doesn't outlive its freshness is fresh until it is removed.
    fn fresh_until(&self) -> u64 {
        if self.outlives { self.loaded_at + self.fresh_for } else { self.ends_at }
    }
}
