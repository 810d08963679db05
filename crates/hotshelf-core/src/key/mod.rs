//! Keys: how a namespace, an identifier and parameters become the name of an entry.
//!
//! Layout v1, the default, is `prefix:version:namespace:identifier[:hash]`, byte for
//! byte what the Python library fastapi-rc writes, so that a warm cache stays warm. It
//! takes any text and is therefore not injective: the identifier `list:41a83e11527e`
//! names the entry of `list` with the parameters that hash to `41a83e11527e`. A value of
//! another type found there is a miss, but two such entries push each other out.
//!
//! Layout v2 is injective; see [`KeyLayout::V2`].

mod layout;
mod params;
mod pattern;

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};

pub use layout::{KeyLayout, Namespace};
pub use params::{Params, ParamsError};
pub use pattern::Pattern;

/// What names an entry within its cache: an identifier and, optionally, parameters.
///
/// Text and integers turn into a key by themselves, so that most calls never name this
/// type: `cache.get("42")`, `cache.get(42)`.
///
/// `Debug` shows a digest, since identifiers may be personal data.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key<'a> {
    identifier: Cow<'a, str>,
    params: Option<Params>,
}

impl<'a> Key<'a> {
    /// Makes a key of an identifier without parameters.
    pub fn new(identifier: impl Into<Self>) -> Self {
        identifier.into()
    }

    /// Adds parameters, say the query of a request. Their order never matters.
    ///
    /// They are written as Python's `json.dumps(params, sort_keys=True)` writes them and
    /// hashed. Empty ones (`null`, `false`, 0, `""`, `[]`, `{}`) add nothing to the key.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Key`] for what has no counterpart in Python's JSON: bytes,
    /// map keys that are no text or number, mixed kinds of map keys, deep nesting.
    pub fn with_params<P: Serialize + ?Sized>(self, params: &P) -> Result<Self, Error> {
        let params = Params::new(params).map_err(|source| {
            Error::new(ErrorKind::Key, format!("these parameters make no key: {source}"))
        })?;
        Ok(self.params(params))
    }

    /// Adds parameters that were prepared before, or parsed from JSON text.
    #[must_use]
    pub fn params(mut self, params: Params) -> Self {
        self.params = (!params.is_empty()).then_some(params);
        self
    }

    /// Gives the identifier.
    #[must_use]
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    /// Gives `N` bytes of the SHA-256 of the parameters' text, in hexadecimal.
    fn params_hash<const N: usize>(&self) -> Option<String> {
        self.params.as_ref().map(|params| hash_hex::<N>(params.as_str()))
    }
}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identifier = hash_hex::<4>(&self.identifier);
        write!(formatter, "Key(#{identifier}, with params: {})", self.params.is_some())
    }
}

impl<'a> From<&'a str> for Key<'a> {
    fn from(identifier: &'a str) -> Self {
        Self { identifier: Cow::Borrowed(identifier), params: None }
    }
}

impl<'a> From<&'a String> for Key<'a> {
    fn from(identifier: &'a String) -> Self {
        Self::from(identifier.as_str())
    }
}

impl From<String> for Key<'_> {
    fn from(identifier: String) -> Self {
        Self { identifier: Cow::Owned(identifier), params: None }
    }
}

impl<'a> From<&'a Key<'_>> for Key<'a> {
    fn from(key: &'a Key<'_>) -> Self {
        Self { identifier: Cow::Borrowed(&key.identifier), params: key.params.clone() }
    }
}

/// Integers are written in decimal, as Python's `str` writes them.
macro_rules! from_integers {
    ($($integer:ty),+) => {
        $(impl From<$integer> for Key<'_> {
            fn from(identifier: $integer) -> Self {
                Self::from(identifier.to_string())
            }
        })+
    };
}

from_integers!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

/// The exact name of an entry in the backend.
///
/// `Debug` shows a digest, since identifiers may be personal data; [`WireKey::as_str`]
/// shows the key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireKey(Box<str>);

impl WireKey {
    /// Gives the key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the key as the bytes that the backend sees.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Gives a short digest, for logs: `#` and 32 bits in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("#{}", hash_hex::<4>(&self.0))
    }
}

impl From<&str> for WireKey {
    fn from(key: &str) -> Self {
        Self(key.into())
    }
}

impl From<String> for WireKey {
    fn from(key: String) -> Self {
        Self(key.into_boxed_str())
    }
}

impl AsRef<str> for WireKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for WireKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WireKey({})", self.digest())
    }
}

/// Writes the first `N` bytes of the SHA-256 of `text` in hexadecimal.
fn hash_hex<const N: usize>(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let hash = Sha256::digest(text);
    let digits = hash[..N].iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
