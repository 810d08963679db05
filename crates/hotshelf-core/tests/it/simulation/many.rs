//! Calls that load many rows with one loader, and that never wait while they hold leases.

use std::any::TypeId;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::Runtime;
use hotshelf_core::cache::{Ended, Loaded, ManyLoad, SharedError, Waited};
use hotshelf_testkit::simulation::{EventIndex, Overlap, Overlaps, check_single_flight};

use super::CALMS;
use super::loads::{Running, origin, shared};
use super::mutants::Mutant;
use super::scenario::{Operation, Scenario, Tagged};
use super::seeds::{hold, is_replay, seeds, show};
use super::source::Row;
use super::world::{Outcome, Task, run};

/// No call takes longer in a world without faults, unless two batches wait for each other.
const LONGEST: Duration = Duration::from_secs(1);

impl Scenario {
    /// Without faults: batches, single calls and invalidations of the same rows.
    fn batches(seed: u64) -> Self {
        let mut batches = Self::calm(seed);
        batches.rows = vec![Tagged::Not; 3];
        batches.wait_timeout = Duration::from_secs(5);
        batches.mix =
            vec![(Operation::Many, 10), (Operation::Get, 5), (Operation::InvalidateKey, 5)];
        batches
    }
}

impl Task {
    /// Loads this row and all others of the same tags, and may cancel the call. The loader of many
    /// rows adds no late tags.
    pub(crate) async fn get_many(&self, row: &Arc<Row>) {
        let is_alike = |other: &&Arc<Row>| other.tags == row.tags && other.late_tags.is_empty();
        let mut rows: Vec<Arc<Row>> = self.world.rows.iter().filter(is_alike).cloned().collect();
        if rows.is_empty() {
            return;
        }
        let first = self.below(rows.len() as u64) as usize;
        rows.rotate_left(first);
        let ask = |row: &Arc<Row>| self.world.history.asks(self.process(), &row.key, false);
        let calls: Vec<EventIndex> = rows.iter().map(ask).collect();
        let began = self.world.runtime.now();
        let answering = async {
            match self.world.mutant {
                Some(Mutant::BatchWaits) => self.wait_while_holding(&rows).await,
                _ => self.answer_many(&rows, &calls).await,
            }
        };
        if self.maybe_cancelled(answering).await.is_none() {
            self.world.overlaps.count(Overlap::GivenUp);
            for (row, call) in rows.iter().zip(calls) {
                self.world.history.gives_up(self.process(), &row.key, call);
            }
            return;
        }
        let took = self.world.runtime.now().since(began);
        let mut longest = self.world.longest_call.lock();
        *longest = took.max(*longest);
    }

    async fn answer_many(&self, rows: &[Arc<Row>], calls: &[EventIndex]) {
        let keys = rows.iter().map(|row| Ok(row.key.clone().into())).collect();
        let (options, errors) = (rows[0].options(), TypeId::of::<EventIndex>());
        let mut batch = self.member.cache.load_many(keys, options, errors).await;
        while let Some(positions) = batch.next().await {
            self.load_many(&mut batch, rows, calls, &positions).await;
        }
        let history = &self.world.history;
        for ((row, call), ended) in rows.iter().zip(calls).zip(batch.outcomes()) {
            match ended {
                Ended::Value(value) => self.given(row, *call, origin(value), false),
                Ended::Failed(error) => {
                    let origin = *error.downcast::<EventIndex>().unwrap();
                    history.given_error(self.process(), &row.key, *call, origin);
                }
                Ended::BackingOff(_) => {
                    self.world.overlaps.count(Overlap::BackedOff);
                    history.barred(self.process(), &row.key, *call);
                }
                Ended::TimedOut => {}
            }
        }
    }

    /// Runs one loader for the rows at some positions.
    async fn load_many(
        &self,
        batch: &mut ManyLoad,
        rows: &[Arc<Row>],
        calls: &[EventIndex],
        positions: &[usize],
    ) {
        let history = &self.world.history;
        let led: Vec<(&Row, EventIndex)> = positions
            .iter()
            .map(|&at| {
                let row = &rows[at];
                (&**row, history.reads(self.process(), &row.key, Some(calls[at])))
            })
            .collect();
        let failed = {
            let mut running: Vec<Running<'_>> =
                led.iter().map(|(row, origin)| Running::begin(self, row, *origin)).collect();
            let timeouts = batch.timeouts();
            let loading = Box::pin(batch.run(async {
                let mut failed = false;
                for (row, origin) in &led {
                    failed |= self.query(row, *origin).await.is_err();
                }
                failed
            }));
            let (waited, _) = timeouts.wait(loading).await;
            let failed = match waited {
                Waited::Done(failed) => failed,
                Waited::Stale(_) | Waited::TimedOut => true,
            };
            running.iter_mut().for_each(|it| it.failed = failed);
            failed
        };
        self.world.overlaps.add(Overlap::LoadedTogether, (led.len() as u64).saturating_sub(1));
        if failed {
            self.world.overlaps.count(Overlap::LoaderFailed);
            let error: SharedError = Arc::new(led[0].1);
            batch.fail(&error).await;
        } else {
            batch.complete(led.iter().map(|(_, origin)| shared(*origin))).await;
            led.iter().for_each(|(row, _)| row.filled());
        }
    }

    /// What a batch must not do: it waits for one row while it holds the lease of another (n47).
    async fn wait_while_holding(&self, rows: &[Arc<Row>]) {
        let mut held = Vec::new();
        for row in rows {
            let key = Ok(row.key.clone().into());
            let errors = TypeId::of::<EventIndex>();
            let load = self.member.cache.load(key, row.options(), errors);
            if let Loaded::Lead(ticket) = load.await {
                held.push((row, ticket));
            }
        }
        for (row, ticket) in held {
            let origin = self.world.history.reads(self.process(), &row.key, None);
            ticket.complete(shared(origin)).await;
            self.world.history.ends(self.process(), &row.key, origin, false);
        }
    }
}

/// A violation of what holds without faults: each key is loaded once, and nobody waits for a batch
/// that waits.
fn violation_of_batches(outcome: &Outcome) -> Option<String> {
    let longest = outcome.longest_call;
    let told = outcome.violation.as_ref().map(ToString::to_string);
    let twice = || check_single_flight(&outcome.history).err().map(|twice| twice.to_string());
    let slow = || (longest > LONGEST).then(|| format!("a call took {longest:?}"));
    told.or_else(twice).or_else(slow)
}

#[test]
fn batches_never_wait_for_each_other() {
    let overlaps = Overlaps::default();
    for seed in seeds(CALMS) {
        let outcome = hold(Scenario::batches(seed), &overlaps);
        assert_eq!(violation_of_batches(&outcome), None, "seed {seed}");
    }
    show(&format!("batches:\n{overlaps}"));
    let together = overlaps.get(Overlap::LoadedTogether);
    assert!(is_replay() || together > 2 * CALMS, "too few loads of many: {together}");
}

#[test]
#[should_panic(expected = "a task is stuck")]
fn batches_that_wait_with_leases_deadlock() {
    for seed in 0..CALMS {
        run(Scenario::batches(seed), Some(Mutant::BatchWaits), false);
    }
}
