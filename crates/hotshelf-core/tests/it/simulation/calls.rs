//! Callers of the cache: they read, fill manually, and ask for values.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hotshelf_core::Runtime;
use hotshelf_core::cache::{Filled, ReadOutcome};
use hotshelf_testkit::simulation::{EventIndex, Overlap};

use super::loads::{LOAD, Led, origin};
use super::scenario::Operation;
use super::source::Row;
use super::world::{Task, World};

/// How long a parked call isn't polled.
const PARKED: Duration = Duration::from_secs(20);

/// The longest time before a caller cancels its call.
const CANCEL_AFTER: Duration = Duration::from_millis(40);

/// Runs a future, and returns whether it completed when it was first polled.
pub(crate) async fn at_once<F: Future>(future: F) -> (F::Output, bool) {
    let (mut future, mut polls) = (pin!(future), 0);
    let output = poll_fn(|context| {
        polls += 1;
        future.as_mut().poll(context)
    });
    (output.await, polls == 1)
}

impl Task {
    /// Works until the operations of its process are done.
    pub(crate) async fn work(&self) {
        let left = &self.member.operations;
        let next = |left: u64| left.checked_sub(1);
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok() {
            self.pause(self.world.scenario.idle).await;
            let row = &self.world.rows[self.below(self.world.rows.len() as u64) as usize];
            match self.draw_operation() {
                Operation::Get => self.get(row, false).await,
                Operation::Reload => self.get(row, true).await,
                Operation::Many => self.get_many(row).await,
                Operation::Peek => self.peek(row).await,
                Operation::Ticket => self.fill_by_hand(row).await,
                Operation::InvalidateKey => self.change_and_invalidate_key(row).await,
                Operation::InvalidateTag => self.change_and_invalidate_tag(row).await,
                Operation::InvalidatePattern => self.invalidate_pattern().await,
                Operation::WriteThrough => self.write_through(row).await,
                Operation::Insert => self.insert(row).await,
                Operation::Expire => self.expire(row).await,
            }
        }
    }

    /// Calls the cache, and may cancel the call.
    async fn get(&self, row: &Arc<Row>, fresh: bool) {
        let call = self.world.history.asks(self.process(), &row.key, fresh);
        let (began, stalls) = (self.world.runtime.now(), self.member.process.stalls());
        let cancelled = self.maybe_cancelled(self.answer(row, call, fresh)).await.is_none();
        if !cancelled && self.member.process.stalls() == stalls {
            let took = self.world.runtime.now().since(began);
            let mut longest = self.world.longest_call.lock();
            *longest = took.max(*longest);
        }
        if cancelled {
            self.world.overlaps.count(Overlap::GivenUp);
            self.world.history.gives_up(self.process(), &row.key, call);
        }
    }

    /// Reads without naming tags: those of the entry are looked up afterwards.
    async fn peek(&self, row: &Row) {
        let call = self.world.history.asks(self.process(), &row.key, false);
        let (read, at_once) = at_once(self.member.cache.read(Ok(row.key.clone().into()))).await;
        if let Ok(ReadOutcome::Hit(value)) = read {
            self.given(row, call, origin(value), at_once);
        }
    }

    async fn fill_by_hand(&self, row: &Arc<Row>) {
        let filling = async {
            let ticket = self.member.cache.ticket(Ok(row.key.clone().into()), row.options()).await;
            let run = self.clone().run(Arc::clone(row), None, ticket.unwrap());
            if let Led::Filled(Filled::Stored) = run.await {
                self.world.overlaps.count(Overlap::TicketFilled);
            }
        };
        self.maybe_cancelled(filling).await;
    }

    async fn expire(&self, row: &Row) {
        if let Ok(true) = self.member.cache.expire(Ok(row.key.clone().into())).await {
            self.world.overlaps.count(Overlap::Expired);
        }
    }

    /// Records what a call was given, by a near tier or not. Only a near tier answers at once.
    pub(crate) fn given(&self, row: &Row, call: EventIndex, origin: EventIndex, near: bool) {
        let World { history, scenario, lagging, .. } = &*self.world;
        let origin = match lagging.lock().get(&origin) {
            // The caller's own loader would have seen no more.
            Some(_) if origin > call => return,
            Some(&seen) => seen,
            None => origin,
        };
        if !near {
            return history.given(self.process(), &row.key, call, origin);
        }
        assert!(scenario.near.is_some(), "a call was answered from memory");
        history.given_near(self.process(), &row.key, call, origin);
    }

    /// Runs a future to completion, or cancels it after some time.
    pub(crate) async fn maybe_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        if self.world.scenario.callers_park && self.below(8) == 0 {
            self.park(future).await;
            return None;
        }
        if !self.world.scenario.callers_cancel || self.below(3) != 0 {
            return Some(future.await);
        }
        let timer = self.member.process.sleep(self.world.runtime.up_to(CANCEL_AFTER));
        match futures_util::future::select(Box::pin(future), timer).await {
            futures_util::future::Either::Left((output, _)) => Some(output),
            futures_util::future::Either::Right(_) => None,
        }
    }

    /// Polls a future for a while, then keeps it without polling it, and drops it at last.
    async fn park<F: Future>(&self, future: F) {
        let mut parked = Box::pin(future);
        let polls = self.member.process.sleep(self.world.runtime.up_to(LOAD));
        futures_util::future::select(&mut parked, polls).await;
        self.member.process.sleep(PARKED).await;
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
