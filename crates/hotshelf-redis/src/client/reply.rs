//! What a server answers.

use bytes::Bytes;
use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::resp::Value;

use crate::errors;

/// One answer of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reply {
    /// Nothing: a key or field that doesn't exist.
    Nil,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Double(f64),
    /// Yes or no.
    Boolean(bool),
    /// A string of any bytes.
    Bytes(Bytes),
    /// A status such as `OK`, text of the server's own, or a number of more than 64 bits.
    Text(String),
    /// Several answers: a list or a set.
    Array(Vec<Self>),
    /// Pairs, in the order in which the server sent them.
    Map(Vec<(Self, Self)>),
    /// The command failed; those beside it in a pipeline may not have.
    Error(Error),
}

impl Reply {
    /// Turns a failed command into an error.
    ///
    /// # Errors
    /// The server's own, of kind [`ErrorKind::Server`] mostly.
    pub fn ok(self) -> Result<Self, Error> {
        match self {
            Self::Error(error) => Err(error),
            reply => Ok(reply),
        }
    }

    /// Takes an answer, or the trouble that there was in place of one.
    pub(crate) fn from_answer(answer: Result<Value, Error>) -> Self {
        answer.map_or_else(Self::Error, Self::from)
    }

    /// Reads a whole number.
    ///
    /// # Errors
    /// The server's own, or of kind [`ErrorKind::Protocol`] if the answer is no number.
    pub fn integer(self) -> Result<i64, Error> {
        match self.ok()? {
            Self::Integer(number) => Ok(number),
            reply => Err(reply.is_no("whole number")),
        }
    }

    /// Reads a whole number that is not below zero.
    ///
    /// # Errors
    /// As [`Reply::integer`].
    pub fn count(self) -> Result<u64, Error> {
        Ok(u64::try_from(self.integer()?).unwrap_or_default())
    }

    /// Reads a number, with or without a fraction.
    ///
    /// # Errors
    /// The server's own, or of kind [`ErrorKind::Protocol`] if the answer is no number.
    pub fn double(self) -> Result<f64, Error> {
        let parsed = match self.ok()? {
            Self::Double(number) => return Ok(number),
            Self::Integer(number) => return Ok(number as f64),
            // As RESP2 writes it.
            Self::Bytes(text) => std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()),
            _ => None,
        };
        parsed.ok_or_else(|| Self::Nil.is_no("number"))
    }

    /// Reads a string of bytes that may be missing.
    ///
    /// # Errors
    /// The server's own, or of kind [`ErrorKind::Protocol`] if the answer is no string.
    pub fn bytes(self) -> Result<Option<Bytes>, Error> {
        match self.ok()? {
            Self::Nil => Ok(None),
            Self::Bytes(bytes) => Ok(Some(bytes)),
            Self::Text(text) => Ok(Some(text.into())),
            reply => Err(reply.is_no("string")),
        }
    }

    /// Reads several answers.
    ///
    /// # Errors
    /// The server's own, or of kind [`ErrorKind::Protocol`] if there is one answer only.
    pub fn array(self) -> Result<Vec<Self>, Error> {
        match self.ok()? {
            Self::Array(items) => Ok(items),
            reply => Err(reply.is_no("list")),
        }
    }

    /// Reads pairs of strings: a map, or the list that RESP2 makes of one.
    ///
    /// # Errors
    /// The server's own, or of kind [`ErrorKind::Protocol`] if the answer is no map.
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
            reply => Err(reply.is_no("map")),
        }
    }

    fn is_no(&self, expected: &'static str) -> Error {
        let kind = match self {
            Self::Nil => "nothing",
            Self::Integer(_) => "a whole number",
            Self::Double(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::Bytes(_) | Self::Text(_) => "a string",
            Self::Array(_) => "a list",
            Self::Map(_) => "a map",
            Self::Error(_) => "an error",
        };
        Error::new(
            ErrorKind::Protocol,
            format!("the server answered {kind} where a {expected} was expected"),
        )
    }
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        let many = |values: Vec<Value>| values.into_iter().map(Self::from).collect();
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
                Self::Array(many(values))
            }
            Value::Map(pairs) => Self::Map(
                pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            ),
            Value::Attributed(_, value) => Self::from(*value),
            Value::Error(error) => Self::Error(errors::from_server(error)),
            other => Self::Error(Error::new(
                ErrorKind::Protocol,
                format!("an answer of a kind that is not understood: {other:?}"),
            )),
        }
    }
}
