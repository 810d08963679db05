//! The locks of state that threads share: those of parking_lot or, in the test of
//! schedules, those of shuttle, which decides at each of them which thread goes on.

#[cfg(not(shuttle))]
pub(crate) use parking_lot::{Mutex, MutexGuard};
#[cfg(shuttle)]
pub(crate) use under_shuttle::{Mutex, MutexGuard};

#[cfg(shuttle)]
mod under_shuttle {
    pub(crate) use shuttle::sync::MutexGuard;

    /// shuttle's lock, with parking_lot's methods.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}
