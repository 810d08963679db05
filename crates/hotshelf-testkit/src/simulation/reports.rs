//! Reports of changes to the near tier of a process, like client-side tracking.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hotshelf_core::WireKey;
use hotshelf_core::backend::{Fill, LocalEntries, Result, Stored};
use hotshelf_core::near::{NearTier, Source, TrackedRead};
use hotshelf_core::sync::Mutex;

use super::connection::{Connection, ConnectionId};
use super::network::{Operation, Wire};
use super::overlaps::{Overlap, Overlaps};
use super::runtime::SimRuntime;

/// A rule of the near tier that a link breaks. For mutants only. The numbers are those of the
/// negative controls in verification/README.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenReports {
    /// The report of a key that the tier doesn't hold is ignored, although a read of the key may
    /// be in flight (n8).
    UnheldIgnored,
    /// The entries of a connection survive its loss: the next one vouches for them (n9).
    LossIgnored,
    /// A ping counts as answered even if it was not.
    AnswerUnneeded,
    /// What the process has stored is admitted when it is read for the first time, without being
    /// tracked (n10).
    FillAdmitted,
}

/// What a process does with the reports on one of its connections.
#[derive(Clone)]
pub(super) struct Reports {
    pub(super) near: Arc<NearTier>,
    pub(super) source: Arc<Source>,
    pub(super) broken: Option<BrokenReports>,
    pub(super) overlaps: Arc<Overlaps>,
}

impl Reports {
    pub(super) fn breaks(&self, rule: BrokenReports) -> bool {
        self.broken == Some(rule)
    }

    pub(super) fn on_change(&self, key: &WireKey) {
        let is_held = matches!(self.near.get(key), Ok(Some(_)));
        self.overlaps.count(match is_held {
            true => Overlap::ReportOfEntry,
            false => Overlap::ReportWithoutEntry,
        });
        if is_held || !self.breaks(BrokenReports::UnheldIgnored) {
            self.near.changed(key);
        }
    }

    pub(super) fn on_change_of_all(&self) {
        self.overlaps.count(Overlap::ReportOfAll);
        self.near.flush();
    }

    /// Ends what was read over the connection.
    pub(super) fn end(&self) {
        self.overlaps.count(Overlap::SourceEnded);
        if !self.breaks(BrokenReports::LossIgnored) {
            self.source.end();
        }
    }

    /// Returns the reports of the connection that replaces a lost one.
    pub(super) fn replaced(&self) -> Self {
        let source = match self.breaks(BrokenReports::LossIgnored) {
            true => Arc::clone(&self.source),
            false => self.near.source(),
        };
        Self { source, ..self.clone() }
    }
}

/// What was stored over a link, for the mutant [`BrokenReports::FillAdmitted`].
#[derive(Default)]
pub(super) struct Filled(Mutex<BTreeMap<WireKey, Bytes>>);

impl Filled {
    pub(super) fn stored(&self, fills: &[Fill], answers: &[Result<Stored>]) {
        for (fill, answer) in fills.iter().zip(answers) {
            if matches!(answer, Ok(Stored::Stored)) {
                self.0.lock().insert(fill.key.clone(), fill.value.clone());
            }
        }
    }

    /// Returns what was stored under a key, the first time.
    fn take(&self, key: &WireKey, reports: &Reports) -> Option<Bytes> {
        let is_admitted = reports.breaks(BrokenReports::FillAdmitted);
        self.0.lock().remove(key).filter(|_| is_admitted)
    }
}

/// Reads entries whose changes are reported from then on.
pub(super) async fn read_tracked(
    wire: &Arc<Wire>,
    filled: &Filled,
    keys: Vec<WireKey>,
) -> Result<Vec<TrackedRead>> {
    let connection = wire.pick();
    let own: Vec<Option<Bytes>> = match connection.reports() {
        Some(reports) => keys.iter().map(|key| filled.take(key, reports)).collect(),
        None => vec![None; keys.len()],
    };
    let is_tracked = own.iter().map(Option::is_none).collect::<Vec<_>>();
    // Before the request is sent.
    let (source, reader) = (connection.before(), Arc::clone(&connection));
    let reading = wire.exchange_over(&connection, Operation::Read, move |server, sender| {
        let tracked = keys.iter().zip(&is_tracked).filter(|(_, tracked)| **tracked);
        server.track(&reader, tracked.map(|(key, _)| key));
        server.read(sender, &keys)
    });
    let admitted = |(raw, own): (Option<Bytes>, Option<Bytes>)| {
        let source = source.clone().filter(|_| own.is_none() || own == raw);
        TrackedRead { raw, source, is_unreported: false }
    };
    Ok(reading.await?.into_iter().zip(own).map(admitted).collect())
}

/// The connections that read a key since its last change, as the server remembers them.
#[derive(Default)]
pub(super) struct Tracked(Mutex<BTreeMap<WireKey, BTreeMap<ConnectionId, Arc<Connection>>>>);

impl Tracked {
    /// Remembers that keys were read over a connection.
    pub(super) fn read<'a>(
        &self,
        connection: &Arc<Connection>,
        keys: impl Iterator<Item = &'a WireKey>,
    ) {
        let mut readers = self.0.lock();
        for key in keys {
            let readers = readers.entry(key.clone()).or_default();
            readers.insert(connection.id, Arc::clone(connection));
        }
    }

    /// Reports the changes of keys, once to each reader.
    pub(super) fn report(&self, keys: Vec<WireKey>) {
        for key in keys {
            let readers = self.0.lock().remove(&key).unwrap_or_default();
            readers.into_values().for_each(|connection| connection.report(Some(key.clone())));
        }
    }

    /// Forgets all readers, and reports to each of them that everything has changed. Where that
    /// is due to a restart of the server, their connections are lost instead.
    pub(super) fn report_all(&self, runtime: &SimRuntime) {
        let readers = std::mem::take(&mut *self.0.lock());
        let readers: BTreeMap<ConnectionId, Arc<Connection>> =
            readers.into_values().flatten().collect();
        let is_restart = !readers.is_empty() && runtime.below(2) == 0;
        for connection in readers.into_values() {
            match is_restart {
                true => connection.lose(),
                false => connection.report(None),
            }
        }
    }
}
