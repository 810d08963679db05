//! RESP, the serialization protocol, versions 2 and 3.
//!
//! The format is that of <https://redis.io/docs/latest/develop/reference/protocol-spec/>
//! with the streamed strings and aggregates of the RESP3 specification
//! (<https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md>).

mod decode;
mod encode;
mod expected;
mod value;

pub use decode::{Decoder, Limits, ProtocolError};
pub use encode::{Command, value};
pub(crate) use expected::Expected;
pub use value::{ServerError, Value};
