//! Duties: work that a caller has begun and does not wait for any more, and that must not be
//! lost.
//!
//! A duty is on the [list](Duties) of its store until it is done. So whatever becomes of the
//! task that carries it out, every call of the process knows about it: it reads nothing that is
//! about to be removed, and any runtime, or the end of the store, can carry the duty out
//! instead. All duties may be carried out more than once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::backend::Token;
use crate::context::CacheContext;
use crate::key::{Pattern, WireKey};
use crate::runtime::Moment;
use crate::sync::Mutex;

/// A duty, and how far it is done.
pub(crate) struct Duty {
    number: u64,
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
    /// When it was worked on last.
    active: Moment,
    /// Whether the task that carried it out was dropped.
    adrift: bool,
    /// Whether an attempt has failed, which was counted.
    failed: bool,
}

/// After how long without progress another runtime carries a duty out: the first one is
/// stopped, or busy.
const OVERDUE: Duration = Duration::from_secs(1);

/// How often a process looks for such duties.
const LOOKING: Duration = Duration::from_millis(100);

impl Duty {
    /// Notes that a task carries it out.
    pub(crate) fn touch(&self, now: Moment) {
        let mut progress = self.progress.lock();
        progress.active = now;
        progress.adrift = false;
    }

    /// Notes a failure, and returns `true` if it is the first.
    pub(crate) fn has_failed(&self) -> bool {
        !std::mem::replace(&mut self.progress.lock().failed, true)
    }

    fn is_adrift(&self, now: Moment) -> bool {
        let progress = self.progress.lock();
        progress.adrift || now.since(progress.active) > OVERDUE
    }

    fn is_removal(&self) -> bool {
        matches!(self.kind, DutyKind::Remove(_))
    }

    /// Returns the keys, or the tags, that it names. A pattern names none.
    fn named(&self) -> Vec<&WireKey> {
        match &self.kind {
            DutyKind::Release(leases) => leases.iter().map(|(key, _)| key).collect(),
            DutyKind::Remove(Removal::Keys(keys) | Removal::Tags(keys)) => keys.iter().collect(),
            DutyKind::Remove(Removal::Matching(_)) => Vec::new(),
        }
    }
}

/// The duties of a store that are not done yet.
#[derive(Default)]
pub(crate) struct Duties {
    open: Mutex<Open>,
    /// Their number. While it is zero, calls take no lock.
    count: AtomicUsize,
    /// Whether the store is being closed.
    closing: AtomicBool,
}

#[derive(Default)]
struct Open {
    all: BTreeMap<u64, Arc<Duty>>,
    /// The next duty's number.
    next: u64,
    by_key: HashMap<WireKey, Vec<Arc<Duty>>, RandomState>,
    matching: Vec<Matching>,
    /// When the process looked for duties that nobody carries out.
    looked: Moment,
}

/// The removal of all matching keys, except for those that were removed meanwhile.
struct Matching {
    pattern: Pattern,
    duty: Arc<Duty>,
    removed: HashSet<WireKey, RandomState>,
}

impl Duties {
    /// Puts a duty on the list, for at most a while.
    pub(crate) fn add(
        &self,
        cache: Option<Arc<CacheContext>>,
        kind: DutyKind,
        now: Moment,
        lasts: Duration,
    ) -> Arc<Duty> {
        let progress = Mutex::new(Progress { active: now, adrift: false, failed: false });
        let mut open = self.open.lock();
        let number = open.next;
        open.next += 1;
        let duty = Arc::new(Duty { number, cache, kind, until: now + lasts, progress });
        for key in duty.named() {
            open.by_key.entry(key.clone()).or_default().push(Arc::clone(&duty));
        }
        if let DutyKind::Remove(Removal::Matching(pattern)) = &duty.kind {
            let (pattern, duty) = (pattern.clone(), Arc::clone(&duty));
            open.matching.push(Matching { pattern, duty, removed: HashSet::default() });
        }
        open.all.insert(number, Arc::clone(&duty));
        self.count.store(open.all.len(), Ordering::SeqCst);
        duty
    }

    pub(crate) fn remove(&self, duty: &Arc<Duty>) {
        let mut open = self.open.lock();
        duty.named().into_iter().for_each(|key| open.settle(key, duty));
        open.matching.retain(|matching| matching.duty.number != duty.number);
        open.all.remove(&duty.number);
        self.count.store(open.all.len(), Ordering::SeqCst);
    }

    /// Notes that a duty is done as far as it concerns a key.
    pub(crate) fn settle(&self, key: &WireKey, duty: &Arc<Duty>) {
        self.open.lock().settle(key, duty);
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    pub(crate) fn contains(&self, duty: &Duty) -> bool {
        self.open.lock().all.contains_key(&duty.number)
    }

    /// Returns all duties.
    pub(crate) fn all(&self) -> Vec<Arc<Duty>> {
        self.open.lock().all.values().cloned().collect()
    }

    /// Returns the duties that concern the entry or the lease of a key, or a tag.
    pub(crate) fn concerning(&self, key: &WireKey) -> Vec<Arc<Duty>> {
        match self.is_empty() {
            true => Vec::new(),
            false => self.open.lock().concerning(key).cloned().collect(),
        }
    }

    /// Notes that the task that carried a duty out was dropped.
    pub(crate) fn set_adrift(&self, duty: &Duty) {
        duty.progress.lock().adrift = true;
        self.open.lock().looked = Moment::default();
    }

    /// Returns the duties that no task carries out at present, and regards them as begun.
    pub(crate) fn adrift(&self, now: Moment) -> Vec<Arc<Duty>> {
        let mut open = self.open.lock();
        if open.looked != Moment::default() && now.since(open.looked) < LOOKING {
            return Vec::new();
        }
        open.looked = now;
        let adrift = open.all.values().filter(|duty| duty.is_adrift(now));
        adrift.inspect(|duty| duty.touch(now)).cloned().collect()
    }

    /// Returns for each key whether it is about to be removed. Empty if none is.
    pub(crate) fn removing(&self, keys: &[WireKey]) -> Vec<bool> {
        if self.is_empty() {
            return Vec::new();
        }
        let open = self.open.lock();
        keys.iter().map(|key| open.concerning(key).any(|duty| duty.is_removal())).collect()
    }

    /// Refuses new leases from now on.
    pub(crate) fn begin_closing(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }
}

impl Open {
    fn concerning(&self, key: &WireKey) -> impl Iterator<Item = &Arc<Duty>> {
        let matches = |all: &&Matching| all.pattern.matches(key) && !all.removed.contains(key);
        let matching = self.matching.iter().filter(matches).map(|matching| &matching.duty);
        self.by_key.get(key).into_iter().flatten().chain(matching)
    }

    fn settle(&mut self, key: &WireKey, duty: &Arc<Duty>) {
        if let Some(duties) = self.by_key.get_mut(key) {
            duties.retain(|other| other.number != duty.number);
            if duties.is_empty() {
                self.by_key.remove(key);
            }
        }
        let same = |matching: &&mut Matching| matching.duty.number == duty.number;
        if let Some(matching) = self.matching.iter_mut().find(same) {
            matching.removed.insert(key.clone());
        }
    }
}
