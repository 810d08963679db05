//! Work that continues after its caller is gone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::join_all;
use tracing::{Instrument, Span, debug_span};

use super::Engine;
use super::held::{Held, Purpose};
use crate::backend::{Result, Token};
use crate::backoff::Backoff;
use crate::cache::Unfinished;
use crate::context::CacheContext;
use crate::gate::{Duty, DutyKind, Removal};
use crate::key::WireKey;
use crate::runtime::{BoxFuture, Runtime};
use crate::timeout::Timeout;

/// Runs a future in the caller's task and, if that is cancelled after the first poll, in the
/// background, unless one more poll completes it.
///
/// For operations that should not remain incomplete: a fill that was sent.
pub(crate) fn finish_even_if_dropped<T: Send + 'static>(
    runtime: &Arc<dyn Runtime>,
    future: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    let runtime = Arc::clone(runtime);
    Finishing { runtime, future: Some(Box::pin(future)), begun: false }
}

struct Finishing<T: Send + 'static> {
    runtime: Arc<dyn Runtime>,
    /// `None` after completion.
    future: Option<BoxFuture<'static, T>>,
    begun: bool,
}

impl<T: Send + 'static> Future for Finishing<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.begun = true;
        let Some(future) = &mut self.future else { return Poll::Pending };
        let polled = future.as_mut().poll(context);
        if polled.is_ready() {
            self.future = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Finishing<T> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take().filter(|_| self.begun) {
            let rest = async move { drop(future.await) };
            finish_in_background(&self.runtime, Box::pin(rest));
        }
    }
}

/// Polls a future in place and, if it is not complete then, spawns it.
fn finish_in_background(runtime: &Arc<dyn Runtime>, mut future: BoxFuture<'static, ()>) {
    // On a runtime that has ended, its connections have, too; and nothing that might panic runs
    // while a panic unwinds the thread.
    let has_ended = runtime.current().is_some_and(|id| !runtime.is_running(id));
    let polls = !has_ended && !std::thread::panicking();
    let mut context = Context::from_waker(Waker::noop());
    if !polls || future.as_mut().poll(&mut context).is_pending() {
        runtime.spawn(future);
    }
}

/// The pauses between attempts to carry a duty out on a failing backend. Their jitter keeps
/// processes from retrying at the same moment when it comes back.
const RETRYING: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));

/// How often a duty moves on to another runtime by itself.
const MOVES: u32 = 3;

/// Begins a duty: attempts to carry it out in place, then in the background.
///
/// If the runtime ends before it is done, another one goes on with it, or any call of the
/// process, or the end of the store. If the backend fails, it is repeated until the leases
/// of the time at which it began have expired.
pub(crate) fn begin(engine: &Arc<Engine>, cache: Option<&Arc<CacheContext>>, kind: DutyKind) {
    let duty = add(engine, cache.map(Arc::clone), kind);
    let carrier = Carrier::new(Arc::clone(engine), duty, MOVES);
    finish_in_background(&engine.runtime, Box::pin(carrier));
}

fn add(engine: &Engine, cache: Option<Arc<CacheContext>>, kind: DutyKind) -> Arc<Duty> {
    engine.gate.duties.add(cache, kind, engine.runtime.now(), engine.lease)
}

/// Releases leases.
pub(crate) fn release(
    engine: &Arc<Engine>,
    cache: &Arc<CacheContext>,
    leases: Vec<(WireKey, Token)>,
) {
    begin(engine, Some(cache), DutyKind::Release(leases));
}

/// Goes on with duties that nobody carries out.
pub(crate) fn adopt_duties(engine: &Arc<Engine>) {
    if engine.gate.duties.is_empty() {
        return;
    }
    for duty in engine.gate.duties.adrift(engine.runtime.now()) {
        engine.runtime.spawn(Box::pin(Carrier::new(Arc::clone(engine), duty, MOVES - 1)));
    }
}

/// Carries a duty out on one runtime. Dropped by the end of that runtime, it moves on.
struct Carrier {
    engine: Arc<Engine>,
    duty: Arc<Duty>,
    /// `None` after completion.
    work: Option<BoxFuture<'static, ()>>,
    moves: u32,
}

impl Carrier {
    fn new(engine: Arc<Engine>, duty: Arc<Duty>, moves: u32) -> Self {
        let work = carry_out(Arc::clone(&engine), Arc::clone(&duty), moves < MOVES);
        Self { engine, duty, work: Some(Box::pin(work)), moves }
    }
}

async fn carry_out(engine: Arc<Engine>, duty: Arc<Duty>, moved: bool) {
    let (runtime, mut backoff) = (&engine.runtime, RETRYING);
    while !engine.gate.carry_out(&duty).await {
        runtime.sleep(backoff.next(runtime.random())).await;
    }
    if moved && matches!(duty.kind, DutyKind::Release(_)) {
        runtime.sleep(OVERTAKEN).await;
        // A failure was counted before.
        let _ = engine.gate.attempt(&duty).await;
    }
}

/// When a lease is released again over another connection than that on which it was requested:
/// the server may execute the request after the first release.
const OVERTAKEN: Duration = Duration::from_millis(100);

impl Future for Carrier {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.duty.touch(self.engine.runtime.now());
        let Some(work) = &mut self.work else { return Poll::Ready(()) };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        if self.work.take().is_none() {
            return;
        }
        self.engine.gate.duties.set_adrift(&self.duty);
        if let Some(moves) = self.moves.checked_sub(1) {
            let (engine, duty) = (Arc::clone(&self.engine), Arc::clone(&self.duty));
            let next = Self::new(engine, duty, moves);
            // Without another runtime, the next call of the process goes on.
            drop(self.engine.runtime.spawn_elsewhere(Box::pin(next)));
        }
    }
}

/// A removal in its caller's task. If the caller is dropped before it is done, it is carried
/// out in the background.
pub(crate) async fn remove(
    engine: &Arc<Engine>,
    cache: Option<&Arc<CacheContext>>,
    removal: Removal,
) -> Result<u64> {
    let mut removing = Removing { engine, cache, removal: Some(removal) };
    let removed = match &removing.removal {
        Some(removal) => {
            let span = span_of(cache, removal);
            engine.gate.remove(cache.map(|cache| &**cache), removal).instrument(span).await
        }
        None => Ok(0),
    };
    removing.removal = None;
    removed
}

/// Returns the span of an invalidation.
fn span_of(cache: Option<&Arc<CacheContext>>, removal: &Removal) -> Span {
    let (kind, keys) = match removal {
        Removal::Keys(keys) => ("key", Some(keys.len())),
        Removal::Tags(keys) => ("tag", Some(keys.len())),
        Removal::Matching(_) => ("pattern", None),
    };
    let name = cache.map(|cache| cache.namespace.name());
    debug_span!("cache.invalidate", cache.name = name, cache.kind = kind, cache.keys = keys)
}

/// A removal in its caller's task. If it fails, or the caller is dropped before it is done, it
/// is repeated in the background.
pub(crate) async fn remove_in_any_case(
    engine: &Arc<Engine>,
    cache: &Arc<CacheContext>,
    keys: Vec<WireKey>,
) -> Result<u64> {
    let removal = Removal::Keys(keys.clone());
    let removed = remove(engine, Some(cache), removal).await;
    if removed.is_err() {
        begin(engine, Some(cache), DutyKind::Remove(Removal::Keys(keys)));
    }
    removed
}

struct Removing<'a> {
    engine: &'a Arc<Engine>,
    cache: Option<&'a Arc<CacheContext>>,
    removal: Option<Removal>,
}

impl Drop for Removing<'_> {
    fn drop(&mut self) {
        if let Some(removal) = self.removal.take() {
            begin(self.engine, self.cache, DutyKind::Remove(removal));
        }
    }
}

/// Leases that may have been granted and are not needed. They are released on drop, so that
/// other callers need not wait until they expire.
pub(crate) struct UnusedLeases<'a> {
    engine: &'a Arc<Engine>,
    cache: &'a Arc<CacheContext>,
    leases: Vec<(WireKey, Token)>,
}

impl<'a> UnusedLeases<'a> {
    /// Guards leases that are about to be requested. Until the answer comes, it is unknown
    /// whether they were granted.
    pub(crate) fn asked_for(
        engine: &'a Arc<Engine>,
        cache: &'a Arc<CacheContext>,
        leases: Vec<(WireKey, Token)>,
    ) -> Self {
        engine.held.asked();
        Self { engine, cache, leases }
    }

    /// Keeps the leases that are still not needed; the caller manages the others.
    ///
    /// Returns `false` while the store is being closed: none is needed then.
    pub(crate) fn retain(&mut self, mut is_unused: impl FnMut(Token) -> bool) -> bool {
        let closing = self.engine.gate.duties.is_closing();
        self.leases.retain(|(_, token)| is_unused(*token) || closing);
        !closing
    }
}

impl Drop for UnusedLeases<'_> {
    fn drop(&mut self) {
        if !self.leases.is_empty() {
            release(self.engine, self.cache, std::mem::take(&mut self.leases));
        }
        self.engine.held.answered();
    }
}

/// Carries out all duties, and gives back all leases, before the store is closed. Returns what
/// is left after `limit`.
pub(crate) async fn drain(engine: &Arc<Engine>, limit: Duration) -> Unfinished {
    engine.gate.duties.begin_closing();
    let runtime = &*engine.runtime;
    let mut timeout = Timeout::new(limit);
    let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(100));
    loop {
        // Leases that were requested before may be granted meanwhile.
        for (key, Held { token, cache, purpose }) in engine.held.take_all() {
            let kind = match purpose {
                // The write may have been committed.
                Purpose::Write => DutyKind::Remove(Removal::Keys(vec![key])),
                Purpose::Load | Purpose::Ticket(_) => DutyKind::Release(vec![(key, token)]),
            };
            add(engine, Some(cache), kind);
        }
        let duties = engine.gate.duties.all();
        let attempts = duties.iter().map(|duty| engine.gate.carry_out(duty));
        let attempted = timeout.run(runtime, join_all(attempts)).await;
        let left = engine.gate.duties.all();
        if left.is_empty() && engine.held.asking() == 0 {
            return Unfinished::default();
        }
        let pause = runtime.sleep(backoff.next(runtime.random()));
        if attempted.is_none() || timeout.run(runtime, pause).await.is_none() {
            let asking = engine.held.asking();
            let mut unfinished = Unfinished { leases: asking, ..Unfinished::default() };
            for duty in left {
                match &duty.kind {
                    DutyKind::Release(leases) => unfinished.leases += leases.len(),
                    DutyKind::Remove(_) => unfinished.invalidations += 1,
                }
            }
            return unfinished;
        }
    }
}
