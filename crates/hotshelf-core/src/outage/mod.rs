//! The behaviour while the server is unreachable, slow or refusing.
//!
//! This table is the whole policy; each row names the code that implements it.
//!
//! | operation | when it fails | where |
//! | --- | --- | --- |
//! | a read | is a miss; a loading call skips the lease and runs its loader at once | [`MissReason::Unreadable`](crate::cache::MissReason), `engine::lease::lead` |
//! | a request for a lease | the loader runs and nothing is stored: a *degraded* load | `engine::lease` |
//! | a loading call | waits for the backend for at most its [`Budget`]; requests in flight continue without it | [`Budget`] |
//! | a fill | its callers get the value; the entry may be stored late or not at all | `engine::ticket` |
//! | a lease that may have been granted | is released in the background, with retries until it has expired | `engine::cleanup`, `gate::duty` |
//! | the renewal of a lease | is retried after the next third of the lease | `engine::renewal` |
//! | an insert | the older entry remains; the error is counted, and reported by the fallible methods | `cache::insert` |
//! | a write guard | the keys are invalidated; if that also fails, the error is returned | `cache::write_guard` |
//! | an invalidation | the error is returned; the entries may still exist | `cache::invalidate` |
//! | an invalidation whose caller is gone | is repeated in the background for the time of a lease; until it is done its keys are misses in this process | `gate::duty` |
//! | a connection | is closed after three timeouts in a row, and reopened in the background with growing pauses; meanwhile each operation fails at once | `hotshelf-redis`, `connection` and `link::supervisor` |
//! | every failure | is counted; one line is logged when an operation begins to fail, and one when it works again | [`Health`] |
//!
//! No operation is sent twice on a caller's path, and none waits past a deadline: that of the
//! backend for each request, and the [`Budget`] for all requests of one call.

mod budget;
mod health;

pub(crate) use budget::Budget;
pub(crate) use health::{Health, OperationKind};
