//! Locks without poisoning: a panic while one is held only affects its own caller. No
//! application code runs under these locks.
//!
//! `verification/schedules` compiles the core with shuttle's locks instead, which decide at
//! each lock which thread continues. So do its atomics, where the near tier uses them.

use std::fmt;

#[cfg(shuttle)]
use shuttle::sync as threads;
#[cfg(not(shuttle))]
use std::sync as threads;

pub(crate) use threads::atomic;
pub use threads::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

/// Marks a point at which another thread may continue, beside what shuttle doesn't see. Does
/// nothing without shuttle.
#[inline]
pub(crate) fn step() {
    // A lock that nobody else holds: shuttle may switch there, without preferring other threads.
    #[cfg(shuttle)]
    drop(Mutex::new(()).lock());
}

/// A mutual exclusion lock.
#[derive(Default)]
pub struct Mutex<T: ?Sized>(threads::Mutex<T>);

/// A lock for many readers or one writer.
#[derive(Default)]
pub struct RwLock<T: ?Sized>(threads::RwLock<T>);

impl<T> Mutex<T> {
    /// Creates an unlocked lock around a value.
    pub const fn new(value: T) -> Self {
        Self(threads::Mutex::new(value))
    }

    /// Returns the value, consuming the lock.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(threads::PoisonError::into_inner)
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Acquires the lock, blocking until it is free.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(threads::PoisonError::into_inner)
    }

    /// Acquires the lock, or returns `None` if it is held.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(threads::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(threads::TryLockError::WouldBlock) => None,
        }
    }
}

impl<T> RwLock<T> {
    /// Creates an unlocked lock around a value.
    pub const fn new(value: T) -> Self {
        Self(threads::RwLock::new(value))
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Acquires the lock for reading, blocking until no writer holds it.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(threads::PoisonError::into_inner)
    }

    /// Acquires the lock for writing, blocking until it is free.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(threads::PoisonError::into_inner)
    }
}

impl<T: ?Sized> fmt::Debug for Mutex<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T: ?Sized> fmt::Debug for RwLock<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RwLock").finish_non_exhaustive()
    }
}
