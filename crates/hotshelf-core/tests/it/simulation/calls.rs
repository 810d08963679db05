//! What callers of the cache do: read, load, fill by hand.

use std::any::{Any, TypeId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::Runtime;
use hotshelf_core::backend::Seen;
use hotshelf_core::engine::{
    Acquisition, Call, Filled, Foreign, Format, Found, Identity, Judge, Known, SharedError,
    Standing, Ticket, Value, Verdict, View,
};
use hotshelf_core::tag::Tags;
use hotshelf_testkit::simulation::{EventIndex, Overlap};

use super::scenario::Operation;
use super::source::{PREFIX, Row};
use super::world::Task;

pub(crate) const FORMAT: Format = Format::Trailer(Foreign::Reject);

/// The pauses of a task between two operations, of a loader before it reads and after, and
/// of one that takes long.
const IDLE: Duration = Duration::from_millis(12);
const LOAD: Duration = Duration::from_millis(6);
const LONG_LOAD: Duration = Duration::from_secs(7);

/// The longest time after which a caller cancels its call, if it does.
const CANCEL_AFTER: Duration = Duration::from_millis(40);

/// A value is the index of the event at which its read of the source began, and so is an
/// error.
struct Origins;

impl Judge for Origins {
    fn judge(&self, value: &Bytes, _: bool) -> Verdict {
        Verdict::Hit(shared(origin(value)))
    }
}

fn shared(origin: EventIndex) -> Value {
    Value::Present(Arc::new(origin) as Arc<dyn Any + Send + Sync>)
}

fn origin(raw: &[u8]) -> EventIndex {
    std::str::from_utf8(raw).unwrap().parse().unwrap()
}

pub(crate) fn raw(origin: EventIndex) -> Bytes {
    Bytes::from(origin.to_string())
}

impl Task {
    /// Works until the operations of its process are done.
    pub(crate) async fn work(&self) {
        let left = &self.member.operations;
        let next = |left: u64| left.checked_sub(1);
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok() {
            self.pause(IDLE).await;
            let row = &self.world.rows[self.below(self.world.rows.len() as u64) as usize];
            match self.draw_operation() {
                Operation::Get => self.get(row, false).await,
                Operation::Reload => self.get(row, true).await,
                Operation::Peek => self.peek(row).await,
                Operation::Ticket => self.fill_by_hand(row).await,
                Operation::InvalidateKey => self.change_and_invalidate_key(row).await,
                Operation::InvalidateTag => self.change_and_invalidate_tag(row).await,
                Operation::InvalidatePattern => self.invalidate_pattern().await,
                Operation::WriteThrough => self.write_through(row).await,
                Operation::Insert => self.insert(row).await,
            }
        }
    }

    /// Calls the cache, or gives that up.
    async fn get(&self, row: &Row, fresh: bool) {
        let call = self.world.history.asks(self.process(), &row.key, fresh);
        let given_up = self.patiently(self.answer(row, call, fresh)).await.is_none();
        if given_up {
            self.world.overlaps.count(Overlap::GivenUp);
            self.world.history.gives_up(self.process(), &row.key, call);
        }
    }

    /// Reads the cache, or loads: what a service does for a request.
    async fn answer(&self, row: &Row, call: EventIndex, fresh: bool) {
        if fresh {
            return self.load(row, call, true, Known::Unread).await;
        }
        let known = match self.member.engine.read(&row.key, view(&row.tags)).await {
            Ok(Found::Entry { value, .. }) => return self.given(row, call, origin(&value)),
            Ok(Found::Unusable(standing, seen)) => Known::Read(standing, seen),
            Ok(Found::Missing) => Known::Read(Standing::Nothing, Seen::Nothing),
            Err(_) => Known::Unreadable,
        };
        self.load(row, call, false, known).await;
    }

    async fn load(&self, row: &Row, call: EventIndex, fresh: bool, known: Known) {
        match self.member.engine.acquire(self.engine_call(row, fresh), known).await {
            Acquisition::Hit(Value::Present(value)) => {
                self.world.overlaps.count(Overlap::Joined);
                self.given(row, call, *value.downcast::<EventIndex>().unwrap());
            }
            Acquisition::Failed(error) => {
                self.world.overlaps.count(Overlap::ErrorShared);
                let origin = *error.downcast::<EventIndex>().unwrap();
                self.world.history.given_error(self.process(), &row.key, call, origin);
            }
            Acquisition::Lead(ticket) => drop(self.lead(row, Some(call), ticket).await),
            Acquisition::Hit(Value::Absent) => unreachable!("no row is missing"),
        }
    }

    fn engine_call<'a>(&'a self, row: &'a Row, reload: bool) -> Call<'a> {
        Call {
            key: &row.key,
            identity: Identity {
                cache: 1,
                errors: TypeId::of::<EventIndex>(),
                takes_absent: false,
            },
            view: view(&row.tags),
            keep: self.world.scenario.ttl,
            judge: &Origins,
            stats: &self.world.stats,
            wait_timeout: self.world.scenario.wait_timeout,
            backend_budget: self.world.scenario.backend_budget,
            max_waiters: self.world.scenario.max_waiters,
            reload,
        }
    }

    /// Runs a loader, and ends its flight in one of the ways in which flights end.
    async fn lead(&self, row: &Row, call: Option<EventIndex>, ticket: Ticket) -> Option<Filled> {
        let _holding = ticket.can_store().then(|| Holding::begin(&self.member.holders));
        let origin = self.world.history.reads(self.process(), &row.key, call);
        let failed = ticket.run(self.query(row, origin)).await.is_err();
        let overlaps = &self.world.overlaps;
        let during = self.world.history.invalidations_since(origin);
        overlaps.add(Overlap::InvalidationDuringLoad, during);
        if failed {
            overlaps.count(Overlap::LoaderFailed);
            ticket.fail(&(Arc::new(origin) as SharedError));
            return None;
        }
        if !self.world.scenario.promises_single_flight() && self.below(20) == 0 {
            ticket.share(shared(origin)).await;
            return None;
        }
        Some(ticket.fill(Some(raw(origin)), self.world.scenario.ttl, shared(origin)).await)
    }

    async fn query(&self, row: &Row, origin: EventIndex) -> Result<(), ()> {
        let long = self.world.scenario.long_loads && self.below(8) == 0;
        self.pause(if long { LONG_LOAD } else { LOAD }).await;
        self.world.history.finds(self.process(), &row.key, origin, row.version());
        self.pause(LOAD).await;
        match self.world.scenario.loaders_fail && self.below(5) == 0 {
            true => Err(()),
            false => Ok(()),
        }
    }

    /// Reads without naming tags: what the entry carries is looked up behind it.
    async fn peek(&self, row: &Row) {
        let call = self.world.history.asks(self.process(), &row.key, false);
        let none = Tags::none(PREFIX.into());
        let view = View { tags: &none, exactly: false, format: FORMAT };
        if let Ok(Found::Entry { value, .. }) = self.member.engine.read(&row.key, view).await {
            self.given(row, call, origin(&value));
        }
    }

    async fn fill_by_hand(&self, row: &Row) {
        let filling = async {
            let ticket = self.member.engine.ticket(self.engine_call(row, false)).await;
            if self.lead(row, None, ticket).await == Some(Filled::Stored) {
                self.world.overlaps.count(Overlap::TicketFilled);
            }
        };
        self.patiently(filling).await;
    }

    fn given(&self, row: &Row, call: EventIndex, origin: EventIndex) {
        self.world.history.given(self.process(), &row.key, call, origin);
    }

    /// Runs something to its end or, for an impatient caller, for some time only.
    pub(crate) async fn patiently<F: Future>(&self, future: F) -> Option<F::Output> {
        if !self.world.scenario.impatient || self.below(3) != 0 {
            return Some(future.await);
        }
        let timer = self.member.process.sleep(self.world.runtime.up_to(CANCEL_AFTER));
        match futures_util::future::select(Box::pin(future), timer).await {
            futures_util::future::Either::Left((output, _)) => Some(output),
            futures_util::future::Either::Right(_) => None,
        }
    }

    pub(crate) async fn pause(&self, longest: Duration) {
        self.member.process.sleep(self.world.runtime.up_to(longest)).await;
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.world.runtime.below(bound)
    }

    pub(crate) fn process(&self) -> usize {
        self.member.process.number()
    }

    fn draw_operation(&self) -> Operation {
        let mix = &self.world.scenario.mix;
        let mut draw = self.below(mix.iter().map(|(_, share)| share).sum());
        for &(operation, share) in mix {
            match draw.checked_sub(share) {
                Some(rest) => draw = rest,
                None => return operation,
            }
        }
        unreachable!("the draw is below the sum of all shares")
    }
}

fn view(tags: &Tags) -> View<'_> {
    View { tags, exactly: true, format: FORMAT }
}

/// Counts a loader that runs under a lease.
struct Holding<'a>(&'a AtomicU64);

impl<'a> Holding<'a> {
    fn begin(holders: &'a AtomicU64) -> Self {
        holders.fetch_add(1, Ordering::Relaxed);
        Self(holders)
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
