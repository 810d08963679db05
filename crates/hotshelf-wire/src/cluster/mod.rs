//! What a client knows of a Cluster: who owns which slot, and when to ask again.
//!
//! After <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>. A
//! node that is asked for a slot of another one says so ([`Redirect`]). The client then
//! goes where it is told, and asks for the whole map behind it ([`Router`]), once for all
//! that were redirected meanwhile.

mod map;
mod redirect;
mod router;

pub use map::{NoMap, SlotMap};
pub use redirect::Redirect;
pub use router::{Refresh, Router};
