//! Replies, and their conversions to Rust types.

use bytes::Bytes;
use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::resp::Value;

use crate::errors;

/// One reply of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reply {
    /// Null: a key or field that doesn't exist.
    Nil,
    /// An integer.
    Integer(i64),
    /// A floating point number.
    Double(f64),
    /// A boolean.
    Boolean(bool),
    /// A binary-safe string.
    Bytes(Bytes),
    /// A status such as `OK`, other text from the server, or an integer of more than 64 bits.
    Text(String),
    /// Several replies: a list or a set.
    Array(Vec<Self>),
    /// Key-value pairs, in the order in which the server sent them.
    Map(Vec<(Self, Self)>),
    /// The command failed; other commands of its pipeline may have succeeded.
    Error(Error),
}

impl Reply {
    /// Returns the reply, or the error of a failed command.
    ///
    /// # Errors
    /// The server's own, usually of kind [`ErrorKind::Server`].
    pub fn ok(self) -> Result<Self, Error> {
        match self {
            Self::Error(error) => Err(error),
            reply => Ok(reply),
        }
    }

    /// Converts a reply, or the error that occurred instead.
    pub(crate) fn from_result(result: Result<Value, Error>) -> Self {
        result.map_or_else(Self::Error, Self::from)
    }

    /// Returns an integer.
    ///
    /// # Errors
    /// The server's own, or of kind [`ErrorKind::Protocol`] for another type.
    pub fn integer(self) -> Result<i64, Error> {
        match self.ok()? {
            Self::Integer(number) => Ok(number),
            reply => Err(reply.unexpected("an integer")),
        }
    }

    /// Returns a non-negative integer; 0 for a negative one.
    ///
    /// # Errors
    /// Same as [`Reply::integer`].
    pub fn count(self) -> Result<u64, Error> {
        Ok(u64::try_from(self.integer()?).unwrap_or_default())
    }

    /// Returns a number: an integer or a floating point number.
    ///
    /// # Errors
    /// The server's own, or of kind [`ErrorKind::Protocol`] for another type.
    pub fn double(self) -> Result<f64, Error> {
        let reply = self.ok()?;
        let number = match &reply {
            Self::Double(number) => Some(*number),
            Self::Integer(number) => Some(*number as f64),
            // RESP2 has no floating point numbers.
            Self::Bytes(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
            _ => None,
        };
        number.ok_or_else(|| reply.unexpected("a number"))
    }

    /// Returns a string, or `None` for null.
    ///
    /// # Errors
    /// The server's own, or of kind [`ErrorKind::Protocol`] for another type.
    pub fn bytes(self) -> Result<Option<Bytes>, Error> {
        match self.ok()? {
            Self::Nil => Ok(None),
            Self::Bytes(bytes) => Ok(Some(bytes)),
            Self::Text(text) => Ok(Some(text.into())),
            reply => Err(reply.unexpected("a string")),
        }
    }

    /// Returns the replies of a list.
    ///
    /// # Errors
    /// The server's own, or of kind [`ErrorKind::Protocol`] for another type.
    pub fn array(self) -> Result<Vec<Self>, Error> {
        match self.ok()? {
            Self::Array(items) => Ok(items),
            reply => Err(reply.unexpected("a list")),
        }
    }

    /// Returns pairs of strings: a map, or the flat list that RESP2 sends instead.
    ///
    /// # Errors
    /// The server's own, or of kind [`ErrorKind::Protocol`] for another type.
    pub fn pairs(self) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let string = |reply: Self| Ok::<_, Error>(reply.bytes()?.unwrap_or_default());
        match self.ok()? {
            Self::Map(pairs) => {
                pairs.into_iter().map(|(name, value)| Ok((string(name)?, string(value)?))).collect()
            }
            Self::Array(items) if items.len().is_multiple_of(2) => {
                let mut items = items.into_iter();
                std::iter::from_fn(|| Some((items.next()?, items.next()?)))
                    .map(|(name, value)| Ok((string(name)?, string(value)?)))
                    .collect()
            }
            reply => Err(reply.unexpected("a map")),
        }
    }

    fn unexpected(&self, expected: &'static str) -> Error {
        let kind = match self {
            Self::Nil => "null",
            Self::Integer(_) => "an integer",
            Self::Double(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::Bytes(_) | Self::Text(_) => "a string",
            Self::Array(_) => "a list",
            Self::Map(_) => "a map",
            Self::Error(_) => "an error",
        };
        Error::new(
            ErrorKind::Protocol,
            format!("unexpected reply: expected {expected}, got {kind}"),
        )
    }
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        let all = |values: Vec<Value>| values.into_iter().map(Self::from).collect();
        let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
        match value {
            Value::Nil => Self::Nil,
            Value::Integer(number) => Self::Integer(number),
            Value::Double(number) => Self::Double(number),
            Value::Boolean(yes) => Self::Boolean(yes),
            Value::Bulk(bytes) => Self::Bytes(bytes),
            Value::Simple(bytes) | Value::Verbatim(_, bytes) | Value::BigNumber(bytes) => {
                Self::Text(text(bytes))
            }
            Value::Array(values) | Value::Set(values) | Value::Push(values) => {
                Self::Array(all(values))
            }
            Value::Map(pairs) => Self::Map(
                pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            ),
            Value::Attributed(_, value) => Self::from(*value),
            Value::Error(error) => Self::Error(errors::from_server(error)),
            other => Self::Error(Error::new(
                ErrorKind::Protocol,
                format!("unexpected reply of an unknown type: {other:?}"),
            )),
        }
    }
}
