//! Faults with their location in the request, and the 422 response.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Fault;
use super::fault::Wording;

/// A segment of the location of a value: the part of the request, a field, an index of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Segment {
    /// `body`, `query` or the name of a field.
    Name(&'static str),
    /// A position in a list, or in the text of a body that is not valid JSON.
    Index(usize),
}

/// One fault of a request.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Violation {
    /// The type of the fault, as in pydantic.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Its location.
    loc: Vec<Segment>,
    /// The message.
    msg: String,
    /// The value that was sent.
    input: Value,
    /// Details of the fault, if it has any.
    #[serde(skip_serializing_if = "Map::is_empty")]
    ctx: Map<String, Value>,
}

/// All faults of a request; as a response, status 422.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Invalid {
    /// The faults, in the order of the fields.
    detail: Vec<Violation>,
}

impl Violation {
    /// Creates the violation of a fault at a location.
    #[must_use]
    pub fn new(fault: &Fault, loc: Vec<Segment>, input: Value) -> Self {
        let Wording { kind, message, context } = fault.wording();
        let ctx = context.into_iter().map(|(name, detail)| (name.to_owned(), detail)).collect();
        Self { kind, loc, msg: message.into_owned(), input, ctx }
    }
}

impl From<Vec<Violation>> for Invalid {
    fn from(detail: Vec<Violation>) -> Self {
        Self { detail }
    }
}

impl From<Violation> for Invalid {
    fn from(violation: Violation) -> Self {
        Self { detail: vec![violation] }
    }
}

impl IntoResponse for Invalid {
    fn into_response(self) -> Response {
        (StatusCode::UNPROCESSABLE_ENTITY, Json(self)).into_response()
    }
}
