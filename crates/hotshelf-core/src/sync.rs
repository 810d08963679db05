//! The locks of what threads share: those of the standard library or, in the test of
//! schedules, those of shuttle, which decides at each of them which thread goes on.

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard};
