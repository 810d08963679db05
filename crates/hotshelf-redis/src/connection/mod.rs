//! One connection to a server, shared by all callers.
//!
//! Callers hold a [`Connection`], the driver holds its [`Session`]. They share the `traffic`:
//! a lock around the pipeline of `hotshelf-wire`, and the driver's waker. Pushes and
//! unsolicited values go to a [`Listener`]; an [`Inbox`] is a listener that queues them.

mod close_reason;
mod driver;
mod handle;
mod inbox;
mod input;
mod listener;
mod reply_channel;
mod request;
mod session;
mod traffic;

pub use close_reason::CloseReason;
pub use driver::ByteStream;
pub(crate) use handle::Connection;
pub(crate) use inbox::Inbox;
pub use inbox::Message;
pub(crate) use listener::Listener;
pub(crate) use request::{LARGE, Request, Routing, SourceCell};
pub use session::Session;
pub use traffic::DriverStatus;
