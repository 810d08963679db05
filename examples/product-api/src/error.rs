//! The errors of the handlers and their responses.

use std::error::Error;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use hotshelf::{ErrorKind, LoadError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::is_outage;
use crate::validation::Invalid;

const NO_DATABASE: &str = "Database unavailable";

/// The error of a handler.
#[derive(Debug)]
pub enum AppError {
    /// The resource does not exist; contains the message for the client.
    NotFound(&'static str),
    /// The request is invalid.
    Invalid(Invalid),
    /// The request cannot be read at all.
    Refused(StatusCode, String),
    /// The database or the cache is down, and there is no value to return instead: logged, and
    /// shown to the client as this message.
    Unavailable(&'static str, Box<dyn Error + Send + Sync>),
    /// The database was down a short time ago, and isn't asked again for this time.
    BackingOff(Duration),
    /// The database takes too long.
    TimedOut,
    /// The service failed: logged, but not shown to the client.
    Internal(Box<dyn Error + Send + Sync>),
}

/// The body of an error response.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Detail {
    detail: String,
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound(what) => detail(StatusCode::NOT_FOUND, what),
            Self::Invalid(invalid) => invalid.into_response(),
            Self::Refused(status, why) => detail(status, why),
            Self::Unavailable(what, error) => {
                tracing::warn!(error, "{what}");
                detail(StatusCode::SERVICE_UNAVAILABLE, what)
            }
            Self::BackingOff(left) => {
                let mut response = detail(StatusCode::SERVICE_UNAVAILABLE, NO_DATABASE);
                // Rounded up, so that a client doesn't come too early.
                let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
                response
            }
            Self::TimedOut => detail(StatusCode::GATEWAY_TIMEOUT, "Database timed out"),
            Self::Internal(error) => {
                tracing::error!(error, "request failed");
                detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
        }
    }
}

/// Returns an error response: `{"detail": …}`.
pub(crate) fn detail(status: StatusCode, detail: impl Into<String>) -> Response {
    (status, Json(Detail { detail: detail.into() })).into_response()
}

impl From<Invalid> for AppError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<sqlx::Error> for AppError {
    fn from(error: sqlx::Error) -> Self {
        match is_outage(&error) {
            true => Self::Unavailable(NO_DATABASE, error.into()),
            false => Self::Internal(error.into()),
        }
    }
}

impl From<LoadError<sqlx::Error>> for AppError {
    fn from(error: LoadError<sqlx::Error>) -> Self {
        match &error {
            LoadError::BackingOff(left) => Self::BackingOff(*left),
            LoadError::TimedOut => Self::TimedOut,
            _ if error.loader().is_some_and(is_outage) => {
                Self::Unavailable(NO_DATABASE, error.into())
            }
            _ => Self::Internal(error.into()),
        }
    }
}

impl From<hotshelf::Error> for AppError {
    fn from(error: hotshelf::Error) -> Self {
        match error.kind() {
            ErrorKind::Unavailable | ErrorKind::Timeout => {
                Self::Unavailable("Cache unavailable", error.into())
            }
            _ => Self::Internal(error.into()),
        }
    }
}

impl From<BytesRejection> for AppError {
    fn from(rejection: BytesRejection) -> Self {
        Self::Refused(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for AppError {
    fn from(rejection: PathRejection) -> Self {
        Self::Refused(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for AppError {
    fn from(rejection: QueryRejection) -> Self {
        Self::Refused(rejection.status(), rejection.body_text())
    }
}
