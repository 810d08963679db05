//! A client's view of a Cluster: the slot map, and when to fetch it again.
//!
//! Follows <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>. A
//! node that receives a command for a slot of another node replies with a [`Redirect`]. The
//! client follows it, and fetches the whole map afterwards ([`Router`]), once for all commands
//! that were redirected in the meantime.

mod map;
mod redirect;
mod router;

pub use map::{InvalidSlotMap, SlotMap};
pub use redirect::Redirect;
pub use router::{Refresh, Router};
