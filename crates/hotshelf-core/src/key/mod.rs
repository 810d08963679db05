//! Keys: how a namespace, an identifier and parameters become the key of an entry.
//!
//! The default layout is injective: different identifiers and parameters have different keys;
//! see [`KeyLayout::Injective`]. [`KeyLayout::FastapiRc`] writes the same bytes as the Python
//! library fastapi-rc, so that its entries can be shared, and is not injective.

mod into_key;
mod layout;
mod params;
mod pattern;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};

pub use into_key::IntoKey;
pub use layout::{KeyLayout, Namespace};
pub use params::{Params, ParamsError};
pub use pattern::Pattern;

/// The prefix of the keys that belong to hotshelf itself: of leases and of tags.
pub const OWN_PREFIX: &str = "hs:";

/// The name of an entry within its cache: an identifier and, optionally, parameters.
///
/// Most calls don't name this type: `cache.get("42")`, `cache.get(42)` and `cache.get(("acme",
/// 42))` take anything that implements [`IntoKey`].
///
/// `Debug` shows a digest, since identifiers may be personal data.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key<'a> {
    /// `None` for a tuple whose first element is more than an identifier.
    identifier: Option<Cow<'a, str>>,
    /// Tuple elements and parameters, boxed since most keys have neither.
    rest: Option<Box<Rest<'a>>>,
}

#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Rest<'a> {
    /// The further elements of a tuple.
    elements: Vec<Key<'a>>,
    params: Option<Params>,
}

impl<'a> Key<'a> {
    /// Creates a key from an identifier, without parameters.
    ///
    /// ```
    /// # use hotshelf_core as hotshelf;
    /// use hotshelf::Key;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Query { page: u32 }
    ///
    /// let key = Key::new(("acme", "orders")).with_params(&Query { page: 2 })?;
    /// assert_eq!(key.parts(), ["acme", "orders"]);
    /// # Ok::<(), hotshelf::Error>(())
    /// ```
    pub fn new(identifier: impl IntoKey + 'a) -> Self {
        identifier.into_key()
    }

    /// Adds parameters, such as the query of a request. The order of their fields doesn't
    /// matter.
    ///
    /// They are written like Python's `json.dumps(params, sort_keys=True)` and hashed. In the
    /// default layout `null`, `false`, 0, `""`, `[]`, `{}` and no parameters have different
    /// keys; in fastapi-rc's layout all of these add nothing to the key.
    ///
    /// Use a struct or a map, which Python's `dict` equals. A list of pairs is a list, in which
    /// the order matters.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Key`] for values without a counterpart in
    /// Python's JSON: bytes, map keys that are neither text nor numbers, maps with keys of
    /// several types, and deep nesting.
    pub fn with_params<P: Serialize + ?Sized>(self, params: &P) -> Result<Self, Error> {
        let params = Params::new(params).map_err(|source| {
            Error::new(ErrorKind::Key, format!("invalid key parameters: {source}"))
        })?;
        Ok(self.params(params))
    }

    /// Adds parameters that were prepared before, or parsed from JSON.
    #[must_use]
    pub fn params(mut self, params: Params) -> Self {
        self.rest.get_or_insert_default().params = Some(params);
        self
    }

    /// Returns the identifier; of a tuple, that of its first element.
    #[must_use]
    pub fn identifier(&self) -> &str {
        self.identifier.as_deref().unwrap_or_else(|| self.elements()[0].identifier())
    }

    /// Returns the identifiers of a tuple's elements in their order, including nested ones.
    /// For any other key, returns the identifier alone.
    #[must_use]
    pub fn parts(&self) -> Vec<&str> {
        let further = self.elements().iter().flat_map(Self::parts);
        self.identifier.as_deref().into_iter().chain(further).collect()
    }

    /// Converts the key into one that borrows nothing.
    #[must_use]
    pub fn into_owned<'b>(self) -> Key<'b> {
        let owned = |rest: Box<Rest<'a>>| {
            let Rest { elements, params } = *rest;
            Box::new(Rest { elements: elements.into_iter().map(Key::into_owned).collect(), params })
        };
        Key {
            identifier: self.identifier.map(|identifier| Cow::Owned(identifier.into_owned())),
            rest: self.rest.map(owned),
        }
    }

    fn borrowed(&self) -> Key<'_> {
        Key {
            identifier: self.identifier.as_deref().map(Cow::Borrowed),
            rest: self.rest.as_deref().map(|rest| Box::new(rest.borrowed())),
        }
    }

    /// Returns the key of a tuple whose elements are known only at run time, for bindings to
    /// other languages; `None` for an empty one. A single element is its own key.
    #[must_use]
    pub fn from_elements(elements: Vec<Self>) -> Option<Self> {
        let mut elements = elements.into_iter();
        let first = elements.next()?;
        match elements.len() {
            0 => Some(first),
            _ => Some(Self::tuple(first, elements.collect())),
        }
    }

    /// Returns the key of a tuple.
    fn tuple(first: Self, further: Vec<Self>) -> Self {
        let (identifier, elements) = match first {
            Self { identifier, rest: None } => (identifier, further),
            first => (None, std::iter::once(first).chain(further).collect()),
        };
        Self { identifier, rest: Some(Box::new(Rest { elements, params: None })) }
    }

    /// Returns the elements of a tuple after the first.
    fn elements(&self) -> &[Self] {
        self.rest.as_ref().map_or(&[], |rest| &rest.elements)
    }

    fn parameters(&self) -> Option<&Params> {
        self.rest.as_ref()?.params.as_ref()
    }

    /// Returns `true` for a key that is neither a tuple nor has parameters.
    fn is_identifier(&self) -> bool {
        self.rest.is_none()
    }
}

impl Rest<'_> {
    fn borrowed(&self) -> Rest<'_> {
        let elements = self.elements.iter().map(Key::borrowed).collect();
        Rest { elements, params: self.params.clone() }
    }
}

impl<'a> From<Cow<'a, str>> for Key<'a> {
    #[inline]
    fn from(identifier: Cow<'a, str>) -> Self {
        Self { identifier: Some(identifier), rest: None }
    }
}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identifier = hash_hex::<4>(&self.parts().join(","));
        write!(formatter, "Key(#{identifier}, with params: {})", self.parameters().is_some())
    }
}

/// The exact key of an entry in the backend.
///
/// Cheap to clone. `Debug` shows a digest, since identifiers may be personal data;
/// [`WireKey::as_str`] shows the key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireKey(Arc<str>);

impl WireKey {
    /// Returns the key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the key as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns a short digest, for logs: `#` and 32 bits in hexadecimal.
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
        Self(key.into())
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
