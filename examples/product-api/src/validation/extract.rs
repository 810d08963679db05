//! Extractors of validated query strings and bodies.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::{Fault, Fields, Invalid, Segment, Validate, Violation};
use crate::error::AppError;

/// A validated query string.
#[derive(Clone, Copy, Debug)]
pub struct ValidQuery<T>(pub T);

/// A validated JSON array of objects.
#[derive(Clone, Debug)]
pub struct ValidList<T>(pub Vec<T>);

impl<T: Validate, S: Send + Sync> FromRequestParts<S> for ValidQuery<T> {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AppError> {
        let Query(pairs) = Query::from_request_parts(parts, state).await?;
        let query = Fields::of_query(pairs).finish().map_err(Invalid::from)?;
        Ok(Self(query))
    }
}

impl<T: Validate, S: Send + Sync> FromRequest<S> for ValidList<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AppError> {
        let is_json = has_json_content_type(request.headers());
        let body = Bytes::from_request(request, state).await?;
        Ok(Self(list_of(body_value(&body, is_json)?)?))
    }
}

/// Validates each item, and collects the faults of all.
fn list_of<T: Validate>(body: Value) -> Result<Vec<T>, Invalid> {
    let Value::Array(items) = body else {
        return Err(Violation::new(&Fault::ListType, at_body(), body).into());
    };
    let mut valid = Vec::with_capacity(items.len());
    let mut violations = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        match object_of(item, vec![Segment::Name("body"), Segment::Index(index)]) {
            Ok(value) => valid.push(value),
            Err(more) => violations.extend(more),
        }
    }
    if violations.is_empty() { Ok(valid) } else { Err(violations.into()) }
}

fn object_of<T: Validate>(item: Value, location: Vec<Segment>) -> Result<T, Vec<Violation>> {
    match item {
        Value::Object(members) => Fields::of_object(members, location).finish(),
        other => Err(vec![Violation::new(&Fault::ModelAttributesType, location, other)]),
    }
}

/// Parses the body. If it is not declared as JSON, it is one string, as in FastAPI.
fn body_value(body: &[u8], is_json: bool) -> Result<Value, AppError> {
    if body.is_empty() {
        return Err(Invalid::from(Violation::new(&Fault::Missing, at_body(), Value::Null)).into());
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return Err(AppError::Refused(
            StatusCode::BAD_REQUEST,
            "There was an error parsing the body".to_owned(),
        ));
    };
    if !is_json {
        return Ok(Value::String(text.to_owned()));
    }
    serde_json::from_str(text).map_err(|error| invalid_json(text, &error).into())
}

fn invalid_json(text: &str, error: &serde_json::Error) -> Invalid {
    let position = if error.is_eof() {
        text.chars().count()
    } else {
        character_at(text, error.line(), error.column())
    };
    let location = vec![Segment::Name("body"), Segment::Index(position)];
    let fault = Fault::JsonInvalid(error.to_string());
    Violation::new(&fault, location, Value::Object(serde_json::Map::new())).into()
}

/// Converts a line and a column in bytes, both counted from 1, to a position in characters.
fn character_at(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let end = before + column.saturating_sub(1);
    text.char_indices().take_while(|(start, _)| *start < end).count()
}

fn at_body() -> Vec<Segment> {
    vec![Segment::Name("body")]
}

/// Returns `true` if the content type is `application/json` or ends in `+json`.
fn has_json_content_type(headers: &HeaderMap) -> bool {
    let Some(Ok(content_type)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let subtype = essence.strip_prefix("application/").unwrap_or_default();
    subtype == "json" || subtype.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_fault_position_counts_characters() {
        for (text, position) in
            [("{", 1), ("[1,]", 3), ("[\"é\",}", 5), ("[\n1,\n}", 5), ("[]x", 2), ("nope", 1)]
        {
            let error = serde_json::from_str::<Value>(text).unwrap_err();
            let found = if error.is_eof() {
                text.chars().count()
            } else {
                character_at(text, error.line(), error.column())
            };
            assert_eq!(found, position, "{text}: {error}");
        }
    }

    #[test]
    fn content_type_selects_json() {
        for (content_type, expected) in [
            ("application/json", true),
            ("APPLICATION/JSON; charset=utf-8", true),
            ("application/vnd.api+json", true),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
            assert_eq!(has_json_content_type(&headers), expected, "{content_type}");
        }
        assert!(!has_json_content_type(&HeaderMap::new()));
    }
}
