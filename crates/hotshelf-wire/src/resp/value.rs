//! What a server says.

use std::fmt;

use bytes::Bytes;

/// One reply of a server, or one push.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Nothing: a key or a field that doesn't exist. RESP2's null string and null array
    /// are the same.
    Nil,
    /// A whole number of 64 bits.
    Integer(i64),
    /// A number with a fraction, or one of the infinities.
    Double(f64),
    /// Yes or no.
    Boolean(bool),
    /// A whole number of any size, in decimal digits.
    BigNumber(Bytes),
    /// A string of any bytes.
    Bulk(Bytes),
    /// A short text without a line break: `OK`.
    Simple(Bytes),
    /// A text with the three letters that name its format: `txt`, `mkd`.
    Verbatim([u8; 3], Bytes),
    /// The command failed.
    Error(ServerError),
    /// Values in order.
    Array(Vec<Self>),
    /// Values in no order, none of them twice.
    Set(Vec<Self>),
    /// Pairs, in the order in which they were sent.
    Map(Vec<(Self, Self)>),
    /// What the server says unasked: an invalidation, a message.
    Push(Vec<Self>),
    /// A value, and what the server remarks on it.
    Attributed(Vec<(Self, Self)>, Box<Self>),
}

impl Value {
    /// Leaves out what the server remarks on the value.
    #[must_use]
    pub fn without_attributes(self) -> Self {
        match self {
            Self::Attributed(_, value) => value.without_attributes(),
            value => value,
        }
    }

    /// Gives a string, if it is one of text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Bulk(text) | Self::Simple(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// Gives what stands beside a name: in a map, or in the list of names and values that
    /// RESP2 makes of one.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Self> {
        let is_named = |key: &Self| key.text() == Some(name);
        match self {
            Self::Map(pairs) => pairs.iter().find(|(key, _)| is_named(key)).map(|(_, value)| value),
            Self::Array(items) => {
                items.chunks_exact(2).find(|pair| is_named(&pair[0])).map(|pair| &pair[1])
            }
            _ => None,
        }
    }
}

/// Why a command failed, in the server's words.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerError {
    line: Bytes,
}

impl ServerError {
    /// Takes the line that the server sent, without its first byte.
    #[must_use]
    pub fn new(line: Bytes) -> Self {
        Self { line }
    }

    /// Gives the first word, by which errors are told apart: `ERR`, `MOVED`, `NOSCRIPT`.
    #[must_use]
    pub fn code(&self) -> &[u8] {
        let end = memchr::memchr(b' ', &self.line).unwrap_or(self.line.len());
        &self.line[..end]
    }

    /// Gives what follows the first word.
    #[must_use]
    pub fn detail(&self) -> &[u8] {
        self.line.get(self.code().len() + 1..).unwrap_or_default()
    }

    /// Gives the whole line.
    #[must_use]
    pub fn line(&self) -> &Bytes {
        &self.line
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.line))
    }
}

impl fmt::Debug for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ServerError({:?})", self.to_string())
    }
}

impl std::error::Error for ServerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_in_what_either_version_makes_of_a_map() {
        let text = |text: &'static str| Value::Bulk(Bytes::from_static(text.as_bytes()));
        let map = Value::Map(vec![(text("a"), Value::Integer(1)), (text("b"), text("c"))]);
        let list = Value::Array(vec![text("a"), Value::Integer(1), text("b"), text("c")]);
        for value in [map, list] {
            assert_eq!(value.field("b").and_then(Value::text), Some("c"));
            assert_eq!(value.field("a"), Some(&Value::Integer(1)));
            assert_eq!(value.field("c"), None);
        }
        assert_eq!(Value::Nil.field("a"), None);
    }

    #[test]
    fn an_error_has_a_code_and_a_detail() {
        let parts = |line: &'static str| {
            let error = ServerError::new(Bytes::from_static(line.as_bytes()));
            (error.code().to_vec(), error.detail().to_vec())
        };
        assert_eq!(parts("MOVED 3999 127.0.0.1:1"), (b"MOVED".into(), b"3999 127.0.0.1:1".into()));
        assert_eq!(parts("LOADING"), (b"LOADING".into(), vec![]));
        assert_eq!(parts(""), (vec![], vec![]));
    }
}
