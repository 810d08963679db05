//! Duties: work that a caller has begun and does not wait for any more, and that must not be
//! lost.
//!
//! A duty is on the [list](Duties) of its store until it is done. So whatever becomes of the
//! task that carries it out, every call of the process knows about it: it reads nothing that is
//! about to be removed, and any runtime, or the end of the store, can carry the duty out
//! instead. All duties may be carried out more than once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::backend::Token;
use crate::context::CacheContext;
use crate::key::{Pattern, WireKey};
use crate::runtime::Moment;
use crate::sync::Mutex;

/// A duty, and how far it is done.
pub(crate) struct Duty {
    pub(crate) cache: Option<Arc<CacheContext>>,
    pub(crate) kind: DutyKind,
    /// When it is given up: leases have expired by then.
    pub(crate) until: Moment,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
pub(crate) enum DutyKind {
    /// Releases leases.
    Release(Vec<(WireKey, Token)>),
    /// Removes entries: their keys, the versions of tags, or all matching keys.
    Remove(Removal),
}

/// What an invalidation removes.
#[derive(Debug)]
pub(crate) enum Removal {
    Keys(Vec<WireKey>),
    Tags(Vec<WireKey>),
    Matching(Pattern),
}

struct Progress {
    /// When the last attempt began.
    tried: Moment,
    /// Whether the task that carried it out was dropped.
    adrift: bool,
    /// Whether an attempt has failed, which was counted.
    failed: bool,
}

/// How long an attempt may take before another runtime begins one: the runtime of the first is
/// stopped, or busy.
const OVERDUE: Duration = Duration::from_secs(1);

impl Duty {
    pub(crate) fn new(
        cache: Option<Arc<CacheContext>>,
        kind: DutyKind,
        now: Moment,
        lasts: Duration,
    ) -> Arc<Self> {
        let progress = Progress { tried: now, adrift: false, failed: false };
        Arc::new(Self { cache, kind, until: now + lasts, progress: Mutex::new(progress) })
    }

    /// Notes the beginning of an attempt.
    pub(crate) fn try_again(&self, now: Moment) {
        let mut progress = self.progress.lock();
        progress.tried = now;
        progress.adrift = false;
    }

    /// Notes that the task that carried it out was dropped.
    pub(crate) fn set_adrift(&self) {
        self.progress.lock().adrift = true;
    }

    /// Notes a failure, and returns `true` if it is the first.
    pub(crate) fn has_failed(&self) -> bool {
        !std::mem::replace(&mut self.progress.lock().failed, true)
    }

    fn is_adrift(&self, now: Moment) -> bool {
        let progress = self.progress.lock();
        progress.adrift || now.since(progress.tried) > OVERDUE
    }

    /// Returns `true` if the duty concerns the entry or the lease of a key, or a tag.
    fn concerns(&self, key: &WireKey) -> bool {
        match &self.kind {
            DutyKind::Release(leases) => leases.iter().any(|(leased, _)| leased == key),
            DutyKind::Remove(_) => self.removes(key),
        }
    }

    fn removes(&self, key: &WireKey) -> bool {
        match &self.kind {
            DutyKind::Release(_) => false,
            DutyKind::Remove(Removal::Keys(keys) | Removal::Tags(keys)) => keys.contains(key),
            DutyKind::Remove(Removal::Matching(pattern)) => pattern.matches(key),
        }
    }
}

/// The duties of a store that are not done yet.
#[derive(Default)]
pub(crate) struct Duties {
    open: Mutex<Vec<Arc<Duty>>>,
    /// Their number, so that calls need no lock while there are none.
    count: AtomicUsize,
    /// Whether the store is being closed.
    closing: AtomicBool,
}

impl Duties {
    pub(crate) fn add(&self, duty: &Arc<Duty>) {
        let mut open = self.open.lock();
        open.push(Arc::clone(duty));
        self.count.store(open.len(), Ordering::SeqCst);
    }

    pub(crate) fn remove(&self, duty: &Arc<Duty>) {
        let mut open = self.open.lock();
        open.retain(|other| !Arc::ptr_eq(other, duty));
        self.count.store(open.len(), Ordering::SeqCst);
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Returns all duties.
    pub(crate) fn all(&self) -> Vec<Arc<Duty>> {
        self.filtered(|_| true)
    }

    /// Returns the duties that concern a key.
    pub(crate) fn concerning(&self, key: &WireKey) -> Vec<Arc<Duty>> {
        self.filtered(|duty| duty.concerns(key))
    }

    /// Returns the duties that no task carries out at present, and regards them as begun.
    pub(crate) fn adrift(&self, now: Moment) -> Vec<Arc<Duty>> {
        let adrift = self.filtered(|duty| duty.is_adrift(now));
        adrift.iter().for_each(|duty| duty.try_again(now));
        adrift
    }

    /// Returns for each key whether it is about to be removed. Empty if none is.
    pub(crate) fn removing(&self, keys: &[WireKey]) -> Vec<bool> {
        let removals = self.filtered(|duty| matches!(duty.kind, DutyKind::Remove(_)));
        if removals.is_empty() {
            return Vec::new();
        }
        keys.iter().map(|key| removals.iter().any(|duty| duty.removes(key))).collect()
    }

    fn filtered(&self, picks: impl Fn(&Duty) -> bool) -> Vec<Arc<Duty>> {
        match self.is_empty() {
            true => Vec::new(),
            false => self.open.lock().iter().filter(|duty| picks(duty)).cloned().collect(),
        }
    }

    /// Refuses new leases from now on.
    pub(crate) fn begin_closing(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }
}
