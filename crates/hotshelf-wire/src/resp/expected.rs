//! The types of replies that a command can have.
//!
//! Replies carry no number. If a server sends one too many or one too few, every later reply
//! answers another command, and the type is the first thing that shows it.

use super::Value;

/// The types of replies that a command can have. Every command can also fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Not known: a script, or a command whose reply depends on its options.
    Any,
    Integer,
    /// A string, or null.
    String,
    Strings,
    /// `OK`.
    Status,
}

impl Expected {
    /// Returns the types of the replies to a command.
    #[rustfmt::skip]
    pub(crate) fn of(name: &[u8]) -> Self {
        let mut upper = [0; LONGEST];
        let Some(upper) = upper.get_mut(..name.len()) else { return Self::Any };
        upper.copy_from_slice(name);
        upper.make_ascii_uppercase();
        match &*upper {
            b"GET" | b"GETDEL" | b"GETEX" | b"GETRANGE" | b"HGET" | b"LINDEX" => Self::String,
            b"MGET" | b"HMGET" | b"LRANGE" => Self::Strings,
            b"APPEND" | b"DBSIZE" | b"DECR" | b"DECRBY" | b"DEL" | b"EXISTS" | b"EXPIRE"
            | b"EXPIREAT" | b"HDEL" | b"HEXISTS" | b"HINCRBY" | b"HLEN" | b"HSET" | b"HSETNX"
            | b"INCR" | b"INCRBY" | b"LLEN" | b"LPUSH" | b"LREM" | b"PERSIST" | b"PEXPIRE"
            | b"PEXPIREAT" | b"PTTL" | b"PUBLISH" | b"RPUSH" | b"SADD" | b"SCARD" | b"SETNX"
            | b"SISMEMBER" | b"SREM" | b"STRLEN" | b"TOUCH" | b"TTL" | b"UNLINK" | b"XLEN"
            | b"ZCARD" | b"ZREM" => Self::Integer,
            b"MSET" | b"MULTI" | b"PSETEX" | b"RENAME" | b"SETEX" => Self::Status,
            _ => Self::Any,
        }
    }

    /// Returns `true` if a reply can be one to the command.
    #[inline]
    pub(crate) fn accepts(self, reply: &Value) -> bool {
        match reply {
            Value::Error(_) => true,
            Value::Bulk(_) | Value::Nil => matches!(self, Self::Any | Self::String),
            Value::Integer(_) => matches!(self, Self::Any | Self::Integer),
            Value::Array(_) => matches!(self, Self::Any | Self::Strings),
            Value::Simple(_) => matches!(self, Self::Any | Self::Status),
            _ => self == Self::Any,
        }
    }
}

/// The length of the longest name in the table.
const LONGEST: usize = b"PEXPIREAT".len();

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::ServerError;
    use super::*;

    fn accepts(name: &str, reply: &Value) -> bool {
        Expected::of(name.as_bytes()).accepts(reply)
    }

    #[test]
    fn replies_of_other_types_are_not_accepted() {
        let text = || Bytes::from_static(b"OK");
        let (status, bulk) = (Value::Simple(text()), Value::Bulk(text()));
        let (array, error) = (Value::Array(Vec::new()), Value::Error(ServerError::new(text())));
        let accepted = |name| {
            [&bulk, &Value::Nil, &Value::Integer(1), &array, &status]
                .map(|reply| u8::from(accepts(name, reply)))
        };
        assert_eq!(accepted("GET"), [1, 1, 0, 0, 0]);
        assert_eq!(accepted("mget"), [0, 0, 0, 1, 0]);
        assert_eq!(accepted("Pexpireat"), [0, 0, 1, 0, 0]);
        assert_eq!(accepted("MSET"), [0, 0, 0, 0, 1]);
        for name in ["EVALSHA", "SET", "A.COMMAND.OF.A.MODULE", ""] {
            assert_eq!(accepted(name), [1; 5], "{name}");
        }
        assert!(["GET", "MGET", "TTL", "MSET"].iter().all(|name| accepts(name, &error)));
    }
}
