//! Calls that load: with the callers' own loaders, in their tasks or apart from them.

use std::any::TypeId;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hotshelf_core::cache::{
    Begun, Decision, Filled, LoadTicket, Loaded, Mode, Refresh, RefreshMode, SharedError, Source,
    Trace, Value, Waited,
};
use hotshelf_core::{Moment, Runtime, TagId};
use hotshelf_testkit::simulation::{EventIndex, Overlap};

use super::calls::at_once;
use super::source::Row;
use super::stale::Staleness;
use super::world::{Member, Task, World};

/// The pauses before and after a loader reads, and of a long loader.
pub(crate) const LOAD: Duration = Duration::from_millis(6);
const LONG_LOAD: Duration = Duration::from_secs(7);

/// Returns a value: the index of the event at which its read of the source began. Errors are
/// represented in the same way.
pub(crate) fn shared(origin: EventIndex) -> Value {
    Value::Present(Arc::new(origin))
}

pub(crate) fn origin(value: Value) -> EventIndex {
    match value {
        Value::Present(value) => *value.downcast().unwrap(),
        Value::Absent => unreachable!("no row is missing"),
    }
}

/// How a load has ended for the call that ran it.
pub(crate) enum Led {
    Filled(Filled),
    Shared,
    /// The loader failed, and there is a stale value.
    Served(Value),
    Failed,
}

impl Task {
    /// Returns a value from the cache, or loads it, like a service for a request.
    pub(crate) async fn answer(&self, row: &Arc<Row>, call: EventIndex, fresh: bool) {
        let apart = self.world.scenario.stale.is_some_and(|stale| self.below(100) < stale.apart);
        let mode = if fresh { Mode::Reload } else { Mode::Use };
        let refresh = if apart { RefreshMode::Background } else { RefreshMode::Inline };
        let (trace, mut options) = (Trace::default(), row.options().mode(mode).refresh(refresh));
        if self.world.scenario.stale.is_some() && self.world.scenario.near.is_some() {
            options = options.traced(trace.clone());
        }
        let key = Ok(row.key.clone().into());
        let is_cold = !row.is_filled();
        self.world.asked(is_cold);
        let load = self.member.cache.load(key, options, TypeId::of::<EventIndex>());
        let (loaded, at_once) = at_once(load).await;
        let World { overlaps, history, scenario, .. } = &*self.world;
        // One that a near tier has answered may have asked for a refresh that others do.
        let near = at_once || trace.outcome().source == Source::Local;
        match loaded {
            Loaded::Value(value) => self.given(row, call, origin(value), near),
            Loaded::Refresh(value, refresh) => {
                overlaps.count(Overlap::StaleServed);
                self.given(row, call, origin(value), near);
                let refreshing = self.clone().refresh(Arc::clone(row), call, *refresh);
                self.member.process.spawn(Box::pin(refreshing));
            }
            Loaded::Failed(error) => {
                overlaps.count(Overlap::ErrorShared);
                let origin = *error.downcast::<EventIndex>().unwrap();
                history.given_error(self.process(), &row.key, call, origin);
            }
            Loaded::BackingOff(_) => {
                overlaps.count(Overlap::BackedOff);
                history.barred(self.process(), &row.key, call);
            }
            Loaded::TimedOut => self.world.valueless(is_cold),
            Loaded::Lead(ticket) => {
                if scenario.holds() && !ticket.can_store() {
                    overlaps.count(Overlap::LoadedUnderHold);
                }
                if self.is_barred(&ticket) {
                    history.barred(self.process(), &row.key, call);
                }
                self.world.led(is_cold);
                self.lead(row, call, *ticket, apart, is_cold).await;
            }
        }
    }

    /// Returns `true` if nothing but a failed load can be why the ticket doesn't store.
    fn is_barred(&self, ticket: &LoadTicket) -> bool {
        self.world.scenario.is_calm() && !ticket.can_store()
    }

    /// Runs a loader while a stale value is served.
    async fn refresh(self, row: Arc<Row>, call: EventIndex, refresh: Refresh) {
        if let Begun::Lead(ticket) = refresh.begin().await {
            self.run(row, Some(call), *ticket).await;
        }
    }

    /// Runs a loader for as long as the call is patient.
    async fn lead(
        &self,
        row: &Arc<Row>,
        call: EventIndex,
        ticket: LoadTicket,
        apart: bool,
        is_cold: bool,
    ) {
        let overlaps = &self.world.overlaps;
        let timeouts = ticket.timeouts();
        let running = Box::pin(self.clone().run(Arc::clone(row), Some(call), ticket));
        let (waited, unfinished) = timeouts.wait(running).await;
        if let Some(unfinished) = unfinished.filter(|_| apart) {
            overlaps.count(Overlap::TimedOutApart);
            self.member.process.spawn(Box::pin(async { drop(unfinished.await) }));
        }
        match waited {
            Waited::Done(Led::Served(value)) => {
                overlaps.count(Overlap::ServedOnError);
                self.given(row, call, origin(value), false);
            }
            Waited::Done(Led::Failed) | Waited::TimedOut => self.world.valueless(is_cold),
            Waited::Done(Led::Filled(_) | Led::Shared) => {}
            Waited::Stale(value) => {
                overlaps.count(Overlap::ServedSlow);
                self.given(row, call, origin(value), false);
            }
        }
    }

    /// Runs a loader, and ends its flight in one of the possible ways.
    pub(crate) async fn run(
        self,
        row: Arc<Row>,
        call: Option<EventIndex>,
        ticket: LoadTicket,
    ) -> Led {
        let _holding = ticket.can_store().then(|| Holding::begin(&self.member));
        let World { history, overlaps, scenario, .. } = &*self.world;
        let previous = ticket.previous().cloned().map(origin);
        if let (Some(call), Some(previous), None) = (call, previous, scenario.near) {
            // The loader sees it. From a near tier it is as old as a hit there.
            self.given(&row, call, previous, false);
        }
        let origin = history.reads(self.process(), &row.key, call);
        let failed = {
            let mut running = Running::begin(&self, &row, origin);
            running.failed = ticket.run(self.query(&row, origin)).await.is_err();
            running.failed
        };
        let during = history.invalidations_since(origin);
        overlaps.add(Overlap::InvalidationDuringLoad, during);
        if previous.is_some() {
            overlaps.add(Overlap::InvalidatedUnderRefresh, during);
        }
        if failed {
            overlaps.count(Overlap::LoaderFailed);
            let served = ticket.fail(&(Arc::new(origin) as SharedError)).await;
            return served.map_or(Led::Failed, Led::Served);
        }
        if previous
            .is_some_and(|previous| history.version_of(previous) == history.version_of(origin))
        {
            // It returns the previous value, which is as new as its comparison with the source.
            overlaps.count(Overlap::NotModified);
        }
        if !scenario.promises_single_flight() && !scenario.is_calm() && self.below(20) == 0 {
            ticket.share(shared(origin)).await;
            return Led::Shared;
        }
        self.complete(&row, ticket, origin).await
    }

    async fn complete(&self, row: &Row, mut ticket: LoadTicket, origin: EventIndex) -> Led {
        let overlaps = &self.world.overlaps;
        let late = !row.late_tags.is_empty();
        if late {
            let ids = row.late_tags.iter().map(|tag| TagId::of(tag)).collect();
            ticket.decide(Decision { tags: Some(ids), ..Decision::default() });
        }
        let filled = ticket.complete(shared(origin)).await;
        match filled {
            Filled::Stored => {
                row.filled();
                overlaps.add(Overlap::LateTagsStored, u64::from(late));
            }
            Filled::Unstored => overlaps.add(Overlap::LateTagsUnstored, u64::from(late)),
            Filled::Refused => {}
        }
        Led::Filled(filled)
    }

    pub(crate) async fn query(&self, row: &Row, origin: EventIndex) -> Result<(), ()> {
        let scenario = &self.world.scenario;
        let long = scenario.long_loads && self.below(8) == 0;
        self.pause(if long { LONG_LOAD } else { scenario.load }).await;
        self.world.history.finds(self.process(), &row.key, origin, row.version());
        if let Some(Staleness { lag, .. }) = scenario.stale.filter(|stale| !stale.lag.is_zero()) {
            let ago = self.world.runtime.up_to(lag);
            let shows = Duration::checked_sub(self.world.runtime.now() - Moment::default(), ago);
            let shows = Moment::after_start(shows.unwrap_or_default());
            let seen = self.world.history.index_after(shows);
            self.world.lagging.lock().insert(origin, seen);
        }
        self.pause(scenario.load).await;
        let fails = match scenario.stale {
            Some(stale) if stale.always_fails => row.is_filled(),
            _ => scenario.loaders_fail && self.below(5) == 0,
        };
        if fails { Err(()) } else { Ok(()) }
    }
}

/// Records the end of a loader, even if it is dropped.
pub(crate) struct Running<'a> {
    task: &'a Task,
    row: &'a Row,
    origin: EventIndex,
    pub(crate) failed: bool,
}

impl<'a> Running<'a> {
    pub(crate) fn begin(task: &'a Task, row: &'a Row, origin: EventIndex) -> Self {
        Self { task, row, origin, failed: false }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Self { task, row, origin, failed } = *self;
        task.world.history.ends(task.process(), &row.key, origin, failed);
    }
}

/// Counts a running loader with a lease.
struct Holding(Arc<Member>);

impl Holding {
    fn begin(member: &Arc<Member>) -> Self {
        member.holders.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(member))
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.holders.fetch_sub(1, Ordering::Relaxed);
    }
}
