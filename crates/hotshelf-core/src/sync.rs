//! Locks that aren't poisoned: a panic under one of them reaches its own caller alone. No code
//! of an application runs under these locks.
//!
//! `verification/schedules` compiles the core with those of shuttle, which decides at each of
//! them which thread goes on.

use std::fmt;

#[cfg(shuttle)]
use shuttle::sync as threads;
#[cfg(not(shuttle))]
use std::sync as threads;

pub use threads::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

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

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(threads::PoisonError::into_inner)
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(threads::PoisonError::into_inner)
    }

    /// Returns `None` while anybody holds the lock.
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
    /// Waits until no writer holds the lock.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(threads::PoisonError::into_inner)
    }

    /// Waits until nobody else holds the lock.
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
