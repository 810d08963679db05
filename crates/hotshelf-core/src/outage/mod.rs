//! What happens while the server is away, slow, or refuses.
//!
//! This is the whole policy; each row names the code that carries it out.
//!
//! | operation | when it fails | where |
//! | --- | --- | --- |
//! | a read | is a miss; a loading call skips the lease and runs its loader at once | [`MissReason::Unreadable`](crate::cache::MissReason), `engine::lease::lead` |
//! | asking for a lease | the loader runs, and nothing is stored: a *degraded* load | `engine::lease` |
//! | a loading call | waits for the backend for at most its [`Budget`]; what was sent goes on without it | [`Budget`] |
//! | a fill | its callers are given the value; the entry may be stored late, or not at all | `engine::ticket` |
//! | a lease that may have been granted | is released in the background, again and again until it has expired | `engine::cleanup` |
//! | renewing a lease | is tried again at the next third of the lease | `engine::renewal` |
//! | an insert | the older entry stays; the error is counted, and reported by the fallible methods | `cache::insert` |
//! | a write guard | the keys are invalidated; if that fails, too, it is reported | `cache::write_guard` |
//! | an invalidation | the error is returned: the entries may still be there | `cache::invalidate` |
//! | a connection | is given up after three timeouts in a row, and opened again in the background, with growing pauses; meanwhile each operation fails at once | `hotshelf-redis`, `connection` and `link::supervisor` |
//! | every failure | is counted; the log has one line when an operation begins to fail and one when it works again | [`Health`] |
//!
//! No operation is sent twice on a caller's path, and none waits past a deadline: the
//! backend's own for each request, the [`Budget`] for all of one call.

mod budget;
mod health;

pub(crate) use budget::{Budget, within};
pub(crate) use health::{Health, OperationKind};
