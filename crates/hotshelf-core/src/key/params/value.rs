//! The tree of Python values between parameters and their text.

use std::cmp::Ordering;

use super::{
    error::ParamsError,
    number::{Integer, Number},
};

/// A Python value that `json.dumps` accepts.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Number(Number),
    Str(CodePoints),
    List(Vec<Self>),
    Dict(Dict),
}

impl Value {
    /// Returns `true` if `bool(value)` is false in Python.
    pub(super) fn is_falsy(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Number(number) => number.is_zero(),
            Self::Str(text) => text.0.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Dict(dict) => dict.entries.is_empty(),
        }
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Number(Number::Bool(bool))
    }
}

impl From<f64> for Value {
    fn from(float: f64) -> Self {
        Self::Number(Number::Float(float))
    }
}

impl From<Integer> for Value {
    fn from(integer: Integer) -> Self {
        Self::Number(Number::Int(integer))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(CodePoints::from(text))
    }
}

/// A Python `str`: code points instead of `char`s, since JSON may contain lone surrogates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CodePoints(pub(super) Vec<u32>);

impl CodePoints {
    /// Returns the text, with U+FFFD for every lone surrogate.
    pub(super) fn to_string_lossy(&self) -> String {
        let chars = self.0.iter().map(|point| char::from_u32(*point));
        chars.map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    }
}

impl From<&str> for CodePoints {
    fn from(text: &str) -> Self {
        Self(text.chars().map(u32::from).collect())
    }
}

/// The key of a [`Dict`]. It is converted to text only after sorting, as in Python.
#[derive(Debug, Clone)]
pub(super) enum DictKey {
    Null,
    Number(Number),
    Str(CodePoints),
}

impl DictKey {
    /// Compares like `<` and `==` in Python; `None` if Python defines no order.
    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, Self::Null) => Some(Ordering::Equal),
            (Self::Number(left), Self::Number(right)) => left.compare(right),
            (Self::Str(left), Self::Str(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }

    fn is_nan(&self) -> bool {
        matches!(self, Self::Number(Number::Float(float)) if float.is_nan())
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "None",
            Self::Number(number) => number.type_name(),
            Self::Str(_) => "str",
        }
    }

    /// Returns the key as a step of an error's path.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Str(text) => text.to_string_lossy(),
        }
    }
}

impl TryFrom<Value> for DictKey {
    type Error = ParamsError;

    fn try_from(value: Value) -> Result<Self, ParamsError> {
        match value {
            Value::Null => Ok(Self::Null),
            Value::Number(number) => Ok(Self::Number(number)),
            Value::Str(text) => Ok(Self::Str(text)),
            Value::List(_) | Value::Dict(_) => Err(ParamsError::new(
                "keys must be str, int, float, bool or None, not a list or a map; \
                 make the key a text",
            )),
        }
    }
}

/// A Python `dict` with sorted, distinct keys.
#[derive(Debug, Clone)]
pub(super) struct Dict {
    entries: Vec<(DictKey, Value)>,
}

impl Dict {
    /// Creates a dict from entries in the order of their insertion. Of equal keys, the first
    /// spelling and the last value are kept, as in Python.
    pub(super) fn new(mut entries: Vec<(DictKey, Value)>) -> Result<Self, ParamsError> {
        // Checking neighbours suffices: of one type only NaN has no order, and it has none
        // with any key.
        for pair in entries.windows(2) {
            if pair[0].0.compare(&pair[1].0).is_none() {
                return Err(no_order(&pair[0].0, &pair[1].0));
            }
        }
        entries.sort_by(|left, right| left.0.compare(&right.0).unwrap_or(Ordering::Equal));
        entries.dedup_by(|later, kept| {
            let equal = later.0.compare(&kept.0) == Some(Ordering::Equal);
            if equal {
                std::mem::swap(&mut later.1, &mut kept.1);
            }
            equal
        });
        Ok(Self { entries })
    }

    /// Creates a dict with one entry, such as an enum's variant.
    pub(super) fn single(key: &str, value: Value) -> Self {
        Self { entries: vec![(DictKey::Str(CodePoints::from(key)), value)] }
    }

    pub(super) fn entries(&self) -> &[(DictKey, Value)] {
        &self.entries
    }
}

fn no_order(left: &DictKey, right: &DictKey) -> ParamsError {
    if left.is_nan() || right.is_nan() {
        return ParamsError::new("a NaN key cannot be sorted among other keys; use another key");
    }
    let (left, right) = (left.type_name(), right.type_name());
    ParamsError::new(format!(
        "keys of type {left} and {right} in one map cannot be sorted; make all of them text"
    ))
}

/// The remaining depth of a tree. The limit bounds the stack of all recursive functions over
/// parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depth {
    containers: u16,
    wrappers: u16,
}

impl Depth {
    pub(super) const MAX: u16 = 500;

    /// Enters a list or dict.
    pub(super) fn enter(mut self) -> Result<Self, ParamsError> {
        self.containers = self.containers.checked_sub(1).ok_or_else(Self::exceeded)?;
        Ok(self)
    }

    /// Enters an `Option` or a newtype, which are invisible in the tree but recurse as well.
    pub(super) fn unwrap_one(mut self) -> Result<Self, ParamsError> {
        self.wrappers = self.wrappers.checked_sub(1).ok_or_else(Self::exceeded)?;
        Ok(self)
    }

    fn exceeded() -> ParamsError {
        ParamsError::new(format!(
            "nested deeper than {} levels; flatten the parameters, or hash a part of them yourself",
            Self::MAX
        ))
    }
}

impl Default for Depth {
    fn default() -> Self {
        // Two wrappers per container, such as `Option<Newtype>`.
        Self { containers: Self::MAX, wrappers: 2 * Self::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dict(keys: &[DictKey]) -> Result<Vec<(String, f64)>, String> {
        let values = (0..keys.len()).map(|index| Value::from(index as f64));
        let dict =
            Dict::new(keys.iter().cloned().zip(values).collect()).map_err(|e| e.to_string())?;
        let entries = dict.entries().iter().map(|(key, value)| match value {
            Value::Number(Number::Float(index)) => (key.label(), *index),
            other => panic!("not one of the values given: {other:?}"),
        });
        Ok(entries.collect())
    }

    fn text(text: &str) -> DictKey {
        DictKey::Str(CodePoints::from(text))
    }

    fn float(float: f64) -> DictKey {
        DictKey::Number(Number::Float(float))
    }

    fn int(int: i128) -> DictKey {
        DictKey::Number(Number::Int(Integer::from(int)))
    }

    #[test]
    fn text_keys_sort_by_code_point() {
        let keys = [text("é"), text("z"), text("\u{ffff}"), text("Z"), text("\u{10000}")];
        let sorted: Vec<_> = dict(&keys).unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(sorted, ["Z", "z", "é", "\u{ffff}", "\u{10000}"]);
    }

    #[test]
    fn equal_keys_merge_like_python() {
        let keys = [int(2), int(1), DictKey::Number(Number::Bool(true)), float(1.0), float(0.5)];
        let expected = [("0.5", 4.0), ("1", 3.0), ("2", 0.0)];
        assert_eq!(dict(&keys).unwrap(), expected.map(|(key, value)| (key.to_owned(), value)));
        assert_eq!(dict(&[DictKey::Null, DictKey::Null]).unwrap(), [("null".to_owned(), 1.0)]);
    }

    #[test]
    fn unsortable_keys_are_rejected() {
        let mixed = dict(&[int(1), int(2), text("b")]).unwrap_err();
        assert!(mixed.contains("int and str") && mixed.contains("make all of them text"));
        assert!(dict(&[DictKey::Null, text("a")]).unwrap_err().contains("None and str"));
        assert!(dict(&[int(1), DictKey::Null]).is_err());
        assert!(dict(&[int(1), float(f64::NAN)]).unwrap_err().contains("NaN"));
        assert!(dict(&[float(f64::NAN), float(f64::NAN)]).unwrap_err().contains("NaN"));
        assert_eq!(dict(&[float(f64::NAN)]).unwrap(), [("NaN".to_owned(), 0.0)]);
    }
}
