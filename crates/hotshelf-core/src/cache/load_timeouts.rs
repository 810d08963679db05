//! How long a call waits for a load.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::ByteCache;
use super::call::CallOptions;
use super::inherited::InheritedTags;
use super::trace::Trace;
use crate::engine::{Edition, Value};
use crate::key::WireKey;
use crate::stats::Counter;
use crate::tag::Tags;

/// How long a call waits for a load, its own or that of another caller.
#[derive(Debug)]
pub struct LoadTimeouts {
    cache: ByteCache,
    /// The entry that may be served.
    entry: Option<Served>,
    takes_absent: bool,
    trace: Option<Trace>,
    tags_into: Option<InheritedTags>,
    /// How long the call has waited.
    waited: Duration,
    /// When the call is given a stale value, if there is one.
    soft: Option<Duration>,
    /// When it fails.
    hard: Option<Duration>,
}

/// The stale entry of a call.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) key: WireKey,
    pub(super) tags: Arc<Tags>,
    pub(super) edition: Edition,
}

/// How long a process serves a stale value at once after its load was too slow.
const SLOW: Duration = Duration::from_secs(1);

/// The end of a wait for a load.
#[derive(Debug)]
pub enum Waited<T> {
    /// The load has ended.
    Done(T),
    /// It takes longer than `soft_timeout`, and there is a value to serve meanwhile.
    Stale(Value),
    /// It takes longer than `hard_timeout`.
    TimedOut,
}

impl LoadTimeouts {
    pub(super) fn new(cache: &ByteCache, entry: Option<Served>, options: &CallOptions) -> Self {
        let own = &cache.context.options;
        Self {
            cache: cache.clone(),
            takes_absent: options.takes_absent,
            trace: options.trace().cloned(),
            tags_into: options.tags_into().cloned(),
            waited: Duration::ZERO,
            soft: own.soft_timeout.filter(|_| entry.is_some()),
            entry,
            hard: own.hard_timeout.filter(|_| !options.must_load),
        }
    }

    /// Returns how long the call waits until [`end`](Self::end), from now on; `None` for no limit.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.soft.or(self.hard).map(|limit| limit.saturating_sub(self.waited))
    }

    /// Decides what the call is given when the time that [`next`](Self::next) has returned is over.
    /// `None` if it goes on waiting: there is no value to serve any more.
    ///
    /// Costs one round trip if it may be served a stale value: an invalidation since the call began
    /// counts.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn end(&mut self) -> Option<Waited<Infallible>> {
        let Self { cache, soft, entry, waited, .. } = self;
        let (Some(soft), Some(Served { key, tags, edition })) = (soft.take(), entry) else {
            cache.count(Counter::TimedOut);
            return Some(Waited::TimedOut);
        };
        *waited = soft;
        match cache.engine.usable(&cache.context, key, tags).await {
            Ok(Some(usable)) if usable.value.is_absent() && !self.takes_absent => None,
            Ok(Some(usable)) => {
                cache.count(Counter::TimedOut);
                // Later calls need not wait as long for the same.
                let now = cache.engine.runtime.now();
                cache.engine.refreshes.pause(key, *edition, now, SLOW);
                self.trace.iter().for_each(|trace| trace.instead(&usable));
                self.tags_into.iter().for_each(InheritedTags::cannot_know);
                Some(Waited::Stale(cache.served_instead(usable)))
            }
            Ok(None) => None,
            Err(_) => {
                cache.count(Counter::Error);
                None
            }
        }
    }

    /// Waits for a load. It is polled all the time; what becomes of it afterwards is up to the
    /// caller.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn wait<F: Future + Unpin>(mut self, mut load: F) -> (Waited<F::Output>, Option<F>) {
        let runtime = Arc::clone(&self.cache.engine.runtime);
        loop {
            let Some(limit) = self.next() else { return (Waited::Done(load.await), None) };
            match select(load, runtime.sleep(limit)).await {
                Either::Left((output, _)) => return (Waited::Done(output), None),
                Either::Right(((), unfinished)) => load = unfinished,
            }
            let ended = {
                let ending = pin!(self.end());
                match select(load, ending).await {
                    Either::Left((output, _)) => return (Waited::Done(output), None),
                    Either::Right((ended, unfinished)) => {
                        load = unfinished;
                        ended
                    }
                }
            };
            match ended {
                Some(Waited::Stale(value)) => return (Waited::Stale(value), Some(load)),
                Some(Waited::TimedOut) => return (Waited::TimedOut, Some(load)),
                Some(Waited::Done(never)) => match never {},
                None => {}
            }
        }
    }
}
