//! Cached values as responses, with the header fields that say where a value comes from.

use std::sync::Arc;

use axum::Json;
use axum::http::HeaderValue;
use axum::http::header::{AGE, CACHE_STATUS};
use axum::response::{IntoResponse, Response};
use hotshelf::{MissReason, Outcome, Source, Trace};
use serde::Serialize;

/// A value of a cache as JSON, with `Cache-Status` (RFC 9211), and `Age` (RFC 9111) if the value
/// was not just loaded.
///
/// A stale value has `detail=stale`, whether it was served at once or because its load has failed.
/// `ttl` is left out: the lifetimes of entries differ at random.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    value: Arc<T>,
    outcome: Outcome,
}

impl<T> Cached<T> {
    /// Takes a value, and the trace of the call that returned it.
    pub(crate) fn new(value: Arc<T>, trace: &Trace) -> Self {
        Self { value, outcome: trace.outcome() }
    }
}

impl<T: Serialize> IntoResponse for Cached<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.value).into_response();
        let headers = response.headers_mut();
        if let Ok(status) = HeaderValue::try_from(cache_status(&self.outcome)) {
            headers.insert(CACHE_STATUS, status);
        }
        if let Some(age) = self.outcome.age {
            headers.insert(AGE, age.as_secs().into());
        }
        response
    }
}

/// Returns the value of `Cache-Status`: `hit` if the value is that of an entry and nobody was asked,
/// otherwise `fwd` with the reason.
fn cache_status(outcome: &Outcome) -> String {
    let is_stored = matches!(outcome.source, Source::Local | Source::Server);
    let how = match outcome.reason {
        // Otherwise the load of a stale value has failed.
        _ if is_stored && (!outcome.loaded || outcome.in_background) => "hit",
        Some(MissReason::Expired) => "fwd=stale",
        Some(MissReason::Missing) => "fwd=uri-miss",
        Some(MissReason::Disabled) => "fwd=bypass",
        _ => "fwd=miss",
    };
    let collapsed = if outcome.source == Source::OtherCall { "; collapsed" } else { "" };
    let stale = if outcome.is_stale { "; detail=stale" } else { "" };
    format!("hotshelf; {how}{collapsed}{stale}")
}
