//! The keys that the current thread is computing.
//!
//! A loader that asks for its own key would wait for itself, and so would a write that loads
//! the key that it writes. While such a future is polled, its keys are on a list of the thread,
//! and a load of one of them doesn't wait. Tasks that the future spawns are not recognised.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;

use super::Engine;
use super::flight::Flight;
use crate::key::WireKey;

thread_local! {
    /// The futures that the thread polls, one inside the other: the address of the engine, and
    /// the keys that each computes.
    static SCOPES: RefCell<Vec<(usize, Keys)>> = const { RefCell::new(Vec::new()) };
}

/// The keys that a future computes.
#[derive(Clone)]
pub(crate) enum Keys {
    Loaded(Arc<Flight>),
    Many(Arc<[WireKey]>),
}

impl Keys {
    fn contain(&self, key: &WireKey) -> bool {
        match self {
            Self::Loaded(flight) => flight.key == *key,
            Self::Many(keys) => keys.contains(key),
        }
    }
}

/// Runs a future that computes keys.
pub(crate) fn computing<F: Future>(
    engine: &Arc<Engine>,
    keys: Keys,
    mut future: Pin<&mut F>,
) -> impl Future<Output = F::Output> {
    poll_fn(move |context| {
        let _scope = Scope::enter(engine, &keys);
        future.as_mut().poll(context)
    })
}

/// Returns `true` if the key is being computed by a future that this thread polls.
pub(crate) fn is_computing(engine: &Arc<Engine>, key: &WireKey) -> bool {
    let address = Arc::as_ptr(engine) as usize;
    SCOPES.with_borrow(|scopes| {
        scopes.iter().any(|(engine, keys)| *engine == address && keys.contain(key))
    })
}

/// Returns `true` if this thread polls a loader or a write. Its calls don't wait without a bound:
/// what they wait for may wait for its key.
pub(crate) fn is_nested() -> bool {
    SCOPES.with_borrow(|scopes| !scopes.is_empty())
}

struct Scope;

impl Scope {
    fn enter(engine: &Arc<Engine>, keys: &Keys) -> Self {
        let address = Arc::as_ptr(engine) as usize;
        SCOPES.with_borrow_mut(|scopes| scopes.push((address, keys.clone())));
        Self
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        SCOPES.with_borrow_mut(Vec::pop);
    }
}
