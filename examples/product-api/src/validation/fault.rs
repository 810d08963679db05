//! What can be wrong with a value, in pydantic's words.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::date_time::DateTimeError;

/// One way in which a value fails; its texts are those of pydantic 2.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A required field is not there.
    Missing,
    /// The body is no JSON; holds what the parser says.
    JsonInvalid(String),
    /// Not a JSON array.
    ListType,
    /// Not a JSON object.
    ModelAttributesType,
    /// Not a string.
    StringType,
    /// A text that is no whole number.
    IntParsing,
    /// Below the least value allowed.
    GreaterThanEqual(i64),
    /// Above the greatest value allowed.
    LessThanEqual(i64),
    /// Neither a number nor a text.
    FloatType,
    /// A text that is no number.
    FloatParsing,
    /// An infinity or NaN, which JSON can't carry.
    FiniteNumber,
    /// Nothing that could mean a boolean.
    BoolType,
    /// A text or number that means neither true nor false.
    BoolParsing,
    /// Neither a text nor a number.
    DateTimeType,
    /// A text or number that is no date and time.
    DateTime(DateTimeError),
}

/// How a fault is told: its type, its sentence, and the named detail of `ctx`.
pub(super) struct Wording {
    pub(super) kind: &'static str,
    pub(super) message: Cow<'static, str>,
    pub(super) context: Option<(&'static str, Value)>,
}

impl Fault {
    pub(super) fn wording(&self) -> Wording {
        match self {
            Self::Missing => plain("missing", "Field required"),
            Self::JsonInvalid(reason) => {
                plain("json_invalid", "JSON decode error").with("error", json!(reason))
            }
            Self::ListType => plain("list_type", "Input should be a valid list"),
            Self::ModelAttributesType => plain(
                "model_attributes_type",
                "Input should be a valid dictionary or object to extract fields from",
            ),
            Self::StringType => plain("string_type", "Input should be a valid string"),
            Self::IntParsing => plain(
                "int_parsing",
                "Input should be a valid integer, unable to parse string as an integer",
            ),
            Self::GreaterThanEqual(least) => told(
                "greater_than_equal",
                format!("Input should be greater than or equal to {least}"),
            )
            .with("ge", json!(least)),
            Self::LessThanEqual(most) => {
                told("less_than_equal", format!("Input should be less than or equal to {most}"))
                    .with("le", json!(most))
            }
            Self::FloatType => plain("float_type", "Input should be a valid number"),
            Self::FloatParsing => plain(
                "float_parsing",
                "Input should be a valid number, unable to parse string as a number",
            ),
            Self::FiniteNumber => plain("finite_number", "Input should be a finite number"),
            Self::BoolType => plain("bool_type", "Input should be a valid boolean"),
            Self::BoolParsing => {
                plain("bool_parsing", "Input should be a valid boolean, unable to interpret input")
            }
            Self::DateTimeType => plain("datetime_type", "Input should be a valid datetime"),
            Self::DateTime(reason) => date_time(*reason),
        }
    }
}

impl Wording {
    fn with(self, name: &'static str, detail: Value) -> Self {
        Self { context: Some((name, detail)), ..self }
    }
}

fn plain(kind: &'static str, message: &'static str) -> Wording {
    Wording { kind, message: Cow::Borrowed(message), context: None }
}

fn told(kind: &'static str, message: String) -> Wording {
    Wording { kind, message: Cow::Owned(message), context: None }
}

fn date_time(reason: DateTimeError) -> Wording {
    let (kind, wanted) = match reason {
        DateTimeError::Unreadable(_) => ("datetime_from_date_parsing", "datetime or date"),
        DateTimeError::OutOfRange(_) => ("datetime_parsing", "datetime"),
    };
    told(kind, format!("Input should be a valid {wanted}, {reason}"))
        .with("error", json!(reason.to_string()))
}
