//! Parameters of a key, written like Python's `json.dumps`.
//!
//! A key contains a hash of its parameters. Python programs that share the cache hash the text
//! of `json.dumps(params, sort_keys=True)`: if a single byte differed, the two sides would not
//! find each other's entries. So parameters are first converted into a tree of Python values
//! ([`value`], built by [`serializer`] or [`parse`]), which is sorted by Python's rules and
//! then written as text ([`text`]).

mod compound;
mod error;
mod number;
mod parse;
mod serializer;
#[cfg(test)]
mod serializer_tests;
mod text;
mod value;

use serde::Serialize;

pub use self::error::ParamsError;
use self::{
    serializer::ValueSerializer,
    value::{Depth, Value},
};

/// Parameters of a key, in their canonical text: that of Python's `json.dumps(…,
/// sort_keys=True)`.
///
/// Two parameters are equal if their texts are equal. The order of fields and entries doesn't
/// matter.
///
/// ```
/// # use hotshelf_core as hotshelf;
/// use hotshelf::Params;
///
/// #[derive(serde::Serialize)]
/// struct Search<'a> {
///     page: u32,
///     category: &'a str,
///     max_price: Option<f64>,
/// }
///
/// let search = Search { page: 1, category: "café", max_price: None };
/// let params = Params::new(&search)?;
/// assert_eq!(params.as_str(), r#"{"category": "caf\u00e9", "max_price": null, "page": 1}"#);
/// # Ok::<(), hotshelf_core::ParamsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Params {
    text: String,
    falsy: bool,
}

impl Params {
    /// Creates parameters from a serializable value.
    ///
    /// An `f32` is written as its shortest decimal, so that `0.1f32` is `0.1`. A missing
    /// `Option` is `null`; skip it with `#[serde(skip_serializing_if = …)]` if the Python side
    /// omits it. Map keys that are equal in Python (`1`, `true` and `1.0`) are one key, with
    /// the first spelling and the last value.
    ///
    /// # Errors
    ///
    /// Returns an error for values that `json.dumps` rejects too: bytes, map keys that are
    /// neither text, number, bool nor null, and maps that mix text keys with others. Also for
    /// a NaN key beside another key, which has no order, for nesting deeper than 500 levels,
    /// and if the value's own `Serialize` fails.
    pub fn new<P: Serialize + ?Sized>(params: &P) -> Result<Self, ParamsError> {
        params.serialize(ValueSerializer::new(Depth::default())).map(|value| Self::of(&value))
    }

    /// Parses parameters from JSON text, like Python's `json.loads`.
    ///
    /// This preserves values that a `serde_json::Value` would lose: integers of any size, the
    /// integer `-0`, lone surrogates (`"\ud800"`), `NaN` and `Infinity`.
    ///
    /// ```
    /// # use hotshelf_core as hotshelf;
    /// use hotshelf::Params;
    ///
    /// let params = Params::from_json(r#"{"to": 1e16, "from": -0, "from": 18446744073709551616}"#)?;
    /// assert_eq!(params.as_str(), r#"{"from": 18446744073709551616, "to": 1e+16}"#);
    /// # Ok::<(), hotshelf_core::ParamsError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error, with line and column, for text that `json.loads` rejects too, for
    /// integers of more than 4300 digits (Python's limit), and for nesting deeper than 500
    /// levels.
    pub fn from_json(text: &str) -> Result<Self, ParamsError> {
        parse::document(text, Depth::default()).map(|value| Self::of(&value))
    }

    /// Creates parameters from text that `json.dumps(…, sort_keys=True)` has written, for
    /// Python bindings.
    ///
    /// The text is not checked. Any other text results in another key.
    #[must_use]
    pub fn from_canonical(text: impl Into<String>) -> Self {
        let text = text.into();
        let falsy = ["null", "false", "0", "0.0", "-0.0", "\"\"", "[]", "{}"].contains(&&*text);
        Self { text, falsy }
    }

    /// Returns `true` for parameters that are false in Python. In fastapi-rc's layout they add
    /// nothing to the key.
    ///
    /// These are `null`, `false`, zeros, and empty texts, lists and maps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.falsy
    }

    /// Returns the canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn of(value: &Value) -> Self {
        Self { text: text::dumps(value), falsy: value.is_falsy() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falsy_values_are_empty() {
        for text in ["null", "false", "0", "-0", "0.0", "-0.0", "1e-999", "\"\"", "[]", "{}"] {
            let params = Params::from_json(text).unwrap();
            assert!(params.is_empty(), "{text}");
            assert_eq!(Params::from_canonical(params.as_str()), params);
        }
        for text in ["true", "1", "5e-324", "NaN", "\" \"", "[[]]", "[null]", "{\"\": null}"] {
            assert!(!Params::from_json(text).unwrap().is_empty(), "{text}");
        }
        assert!(Params::new(&()).unwrap().is_empty());
        assert!(Params::new("").unwrap().is_empty());
    }

    #[test]
    fn equality_ignores_entry_order() {
        let one = Params::from_json(r#"{"a": 1, "b": [2]}"#).unwrap();
        assert_eq!(one, Params::from_json(r#" {"b":[2],"a":1} "#).unwrap());
        assert_ne!(one, Params::from_json(r#"{"a": 1.0, "b": [2]}"#).unwrap());
    }

    #[test]
    fn error_is_send_and_sync() {
        fn assert_error<E: std::error::Error + Clone + Send + Sync + 'static>() {}
        assert_error::<ParamsError>();
    }
}
