//! Faults of values, in pydantic's words.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::date_time::DateTimeError;

/// A fault of a value, with the texts of pydantic 2.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A required field is missing.
    Missing,
    /// The body is not valid JSON; contains the parser's message.
    JsonInvalid(String),
    /// Not a JSON array.
    ListType,
    /// Not a JSON object.
    ModelAttributesType,
    /// Not a string.
    StringType,
    /// A text that is not a whole number.
    IntParsing,
    /// Below the minimum.
    GreaterThanEqual(i64),
    /// Above the maximum.
    LessThanEqual(i64),
    /// Neither a number nor a text.
    FloatType,
    /// A text that is not a number.
    FloatParsing,
    /// An infinity or NaN, which JSON cannot represent.
    FiniteNumber,
    /// A type that cannot be converted to a boolean.
    BoolType,
    /// A text or number that is neither true nor false.
    BoolParsing,
    /// Neither a text nor a number.
    DateTimeType,
    /// A text or number that is not a date and time.
    DateTime(DateTimeError),
}

/// The representation of a fault: its type, its message, and the detail of `ctx`.
pub(super) struct Wording {
    pub(super) kind: &'static str,
    pub(super) message: Cow<'static, str>,
    pub(super) context: Option<(&'static str, Value)>,
}

impl Fault {
    pub(super) fn wording(&self) -> Wording {
        match self {
            Self::Missing => fixed("missing", "Field required"),
            Self::JsonInvalid(reason) => {
                fixed("json_invalid", "JSON decode error").with("error", json!(reason))
            }
            Self::ListType => fixed("list_type", "Input should be a valid list"),
            Self::ModelAttributesType => fixed(
                "model_attributes_type",
                "Input should be a valid dictionary or object to extract fields from",
            ),
            Self::StringType => fixed("string_type", "Input should be a valid string"),
            Self::IntParsing => fixed(
                "int_parsing",
                "Input should be a valid integer, unable to parse string as an integer",
            ),
            Self::GreaterThanEqual(least) => owned(
                "greater_than_equal",
                format!("Input should be greater than or equal to {least}"),
            )
            .with("ge", json!(least)),
            Self::LessThanEqual(most) => {
                owned("less_than_equal", format!("Input should be less than or equal to {most}"))
                    .with("le", json!(most))
            }
            Self::FloatType => fixed("float_type", "Input should be a valid number"),
            Self::FloatParsing => fixed(
                "float_parsing",
                "Input should be a valid number, unable to parse string as a number",
            ),
            Self::FiniteNumber => fixed("finite_number", "Input should be a finite number"),
            Self::BoolType => fixed("bool_type", "Input should be a valid boolean"),
            Self::BoolParsing => {
                fixed("bool_parsing", "Input should be a valid boolean, unable to interpret input")
            }
            Self::DateTimeType => fixed("datetime_type", "Input should be a valid datetime"),
            Self::DateTime(reason) => date_time(*reason),
        }
    }
}

impl Wording {
    fn with(self, name: &'static str, detail: Value) -> Self {
        Self { context: Some((name, detail)), ..self }
    }
}

fn fixed(kind: &'static str, message: &'static str) -> Wording {
    Wording { kind, message: Cow::Borrowed(message), context: None }
}

fn owned(kind: &'static str, message: String) -> Wording {
    Wording { kind, message: Cow::Owned(message), context: None }
}

fn date_time(reason: DateTimeError) -> Wording {
    let (kind, wanted) = match reason {
        DateTimeError::Unreadable(_) => ("datetime_from_date_parsing", "datetime or date"),
        DateTimeError::OutOfRange(_) => ("datetime_parsing", "datetime"),
    };
    owned(kind, format!("Input should be a valid {wanted}, {reason}"))
        .with("error", json!(reason.to_string()))
}
