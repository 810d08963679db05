//! Decoded values.

use std::fmt;

use bytes::Bytes;

/// One reply of a server, or one push.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Null: a key or a field that doesn't exist. The same as RESP2's null string and null
    /// array.
    Nil,
    /// A 64-bit integer.
    Integer(i64),
    /// A floating point number.
    Double(f64),
    /// A boolean.
    Boolean(bool),
    /// An integer of any size, in decimal digits.
    BigNumber(Bytes),
    /// A binary-safe string.
    Bulk(Bytes),
    /// A short text without a line break: `OK`.
    Simple(Bytes),
    /// A text with the three-letter name of its format: `txt`, `mkd`.
    Verbatim([u8; 3], Bytes),
    /// The command failed.
    Error(ServerError),
    /// A list.
    Array(Vec<Self>),
    /// An unordered set.
    Set(Vec<Self>),
    /// Key-value pairs, in the order in which they were sent.
    Map(Vec<(Self, Self)>),
    /// An out-of-band message: an invalidation, a published message.
    Push(Vec<Self>),
    /// A value with attributes.
    Attributed(Vec<(Self, Self)>, Box<Self>),
}

impl Value {
    /// Removes the attributes, if any.
    #[must_use]
    pub fn without_attributes(self) -> Self {
        match self {
            Self::Attributed(_, value) => value.without_attributes(),
            value => value,
        }
    }

    /// Returns the text of a string; `None` for other types and invalid UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Bulk(text) | Self::Simple(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// Returns the value of a field: of a map, or of the flat list of names and values that
    /// RESP2 sends instead.
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

/// An error reply.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerError {
    line: Bytes,
}

impl ServerError {
    /// Creates an error from the line that the server sent, without its first byte.
    #[must_use]
    pub fn new(line: Bytes) -> Self {
        Self { line }
    }

    /// Returns the first word, which identifies the kind of error: `ERR`, `MOVED`, `OOM`.
    #[must_use]
    pub fn code(&self) -> &[u8] {
        let end = memchr::memchr(b' ', &self.line).unwrap_or(self.line.len());
        &self.line[..end]
    }

    /// Returns the text after the first word.
    #[must_use]
    pub fn detail(&self) -> &[u8] {
        self.line.get(self.code().len() + 1..).unwrap_or_default()
    }

    /// Returns the whole line.
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
    fn fields_are_found_in_both_versions() {
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
    fn errors_have_code_and_detail() {
        let parts = |line: &'static str| {
            let error = ServerError::new(Bytes::from_static(line.as_bytes()));
            (error.code().to_vec(), error.detail().to_vec())
        };
        assert_eq!(parts("MOVED 3999 127.0.0.1:1"), (b"MOVED".into(), b"3999 127.0.0.1:1".into()));
        assert_eq!(parts("LOADING"), (b"LOADING".into(), vec![]));
        assert_eq!(parts(""), (vec![], vec![]));
    }
}
