//! The errors of the handlers and their responses.

use std::error::Error;

use axum::Json;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hotshelf::LoadError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::validation::Invalid;

/// The error of a handler.
#[derive(Debug)]
pub enum AppError {
    /// The resource does not exist; contains the message for the client.
    NotFound(&'static str),
    /// The request is invalid.
    Invalid(Invalid),
    /// The request cannot be read at all.
    Refused(StatusCode, String),
    /// The database or the service failed: logged, but not shown to the client.
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
        Self::Internal(error.into())
    }
}

impl From<LoadError<sqlx::Error>> for AppError {
    fn from(error: LoadError<sqlx::Error>) -> Self {
        Self::Internal(error.into())
    }
}

impl From<hotshelf::Error> for AppError {
    fn from(error: hotshelf::Error) -> Self {
        Self::Internal(error.into())
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
