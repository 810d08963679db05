//! The locks of shuttle, which decides at each of them which thread goes on, with the names
//! and methods of parking_lot. The core is compiled with this crate in parking_lot's place.

pub use shuttle::sync::MutexGuard;

/// shuttle's lock, with parking_lot's methods.
#[derive(Debug, Default)]
pub struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Creates an unlocked lock around a value.
    pub const fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    /// Waits for the lock. A thread that panicked while it held it ends the schedule.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("no thread has panicked under the lock")
    }
}
