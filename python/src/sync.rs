//! Locks that are held for moments.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. No code that could panic half-way runs under the locks of this crate, so that one
/// that is poisoned is in order all the same.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
