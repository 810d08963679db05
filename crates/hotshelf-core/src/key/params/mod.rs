//! Parameters of a key, as the text that Python's `json.dumps` writes for them.
//!
//! A key carries a hash of its parameters. Python programs that share the cache hash the text of
//! `json.dumps(params, sort_keys=True)`; a single differing byte would make the two sides miss
//! each other's entries. So parameters become a tree of Python's own values first
//! ([`value`], filled by [`serializer`] or [`parse`]), are sorted by Python's rules, and only then
//! become text ([`text`]).

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

/// Parameters of a key, in the canonical text that Python's `json.dumps(…, sort_keys=True)` gives.
///
/// Two parameters are equal when their texts are; the order of fields and entries doesn't count.
///
/// ```
/// use hotshelf_core::Params;
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
    /// Takes parameters from any serializable value.
    ///
    /// An `f32` counts as the shortest decimal that names it, so `0.1f32` is `0.1`. An absent
    /// `Option` is `null`, not left out: skip it with `#[serde(skip_serializing_if = …)]` where the
    /// Python side leaves it out. Map keys that are equal in Python (`1`, `true` and `1.0`) are one
    /// key: the first spelling, the last value.
    ///
    /// # Errors
    ///
    /// Fails on what `json.dumps` refuses as well: bytes, map keys that are neither text, number,
    /// bool nor null, and maps that mix text keys with others; further on a NaN key beside another
    /// key (it has no place in an order), on nesting deeper than 500 levels, and with the error of
    /// the value's own `Serialize`.
    pub fn new<P: Serialize + ?Sized>(params: &P) -> Result<Self, ParamsError> {
        params.serialize(ValueSerializer::new(Depth::default())).map(|value| Self::of(&value))
    }

    /// Takes parameters from JSON text, read as Python's `json.loads` reads it.
    ///
    /// This keeps what a `serde_json::Value` would lose: integers of any size, a `-0` that is an
    /// integer, lone surrogates (`"\ud800"`), `NaN` and `Infinity`.
    ///
    /// ```
    /// use hotshelf_core::Params;
    ///
    /// let params = Params::from_json(r#"{"to": 1e16, "from": -0, "from": 18446744073709551616}"#)?;
    /// assert_eq!(params.as_str(), r#"{"from": 18446744073709551616, "to": 1e+16}"#);
    /// # Ok::<(), hotshelf_core::ParamsError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails with the line and column where `json.loads` gives up too, on integers of more than
    /// 4300 digits (Python's limit), and on nesting deeper than 500 levels.
    pub fn from_json(text: &str) -> Result<Self, ParamsError> {
        parse::document(text, Depth::default()).map(|value| Self::of(&value))
    }

    /// Takes text that `json.dumps(…, sort_keys=True)` has written: for Python itself.
    ///
    /// The text is taken as it is; of another one the key would be another.
    #[must_use]
    pub fn from_canonical(text: impl Into<String>) -> Self {
        let text = text.into();
        let falsy = ["null", "false", "0", "0.0", "-0.0", "\"\"", "[]", "{}"].contains(&&*text);
        Self { text, falsy }
    }

    /// Returns `true` for parameters that Python takes for false: in fastapi-rc's layout they
    /// add nothing to the key.
    ///
    /// That holds for `null`, `false`, every zero, and empty texts, lists and maps.
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
    fn equality_ignores_the_order_of_entries() {
        let one = Params::from_json(r#"{"a": 1, "b": [2]}"#).unwrap();
        assert_eq!(one, Params::from_json(r#" {"b":[2],"a":1} "#).unwrap());
        assert_ne!(one, Params::from_json(r#"{"a": 1.0, "b": [2]}"#).unwrap());
    }

    #[test]
    fn the_error_can_cross_threads() {
        fn assert_error<E: std::error::Error + Clone + Send + Sync + 'static>() {}
        assert_error::<ParamsError>();
    }
}
