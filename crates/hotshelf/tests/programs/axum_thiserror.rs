//! An axum service whose errors are an enum of thiserror.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use hotshelf::{Cache, LoadError, Store};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tower::ServiceExt;

#[derive(Debug, Error)]
enum DbError {
    #[error("no user {0}")]
    NoUser(u64),
    #[error("connection lost")]
    Connection(#[source] std::io::Error),
}

#[derive(Debug, Error)]
enum AppError {
    #[error("could not load: {0}")]
    Load(#[from] LoadError<DbError>),
    #[error("could not write: {0}")]
    Write(#[from] DbError),
    #[error("could not invalidate: {0}")]
    Cache(#[from] hotshelf::Error),
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Load(error) => match error.loader() {
                Some(DbError::NoUser(_)) => StatusCode::NOT_FOUND,
                Some(DbError::Connection(_)) | None => StatusCode::BAD_GATEWAY,
            },
            Self::Write(_) | Self::Cache(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.to_string()).into_response()
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
}

async fn find(id: u64) -> Result<User, DbError> {
    match id {
        0 => Err(DbError::Connection(std::io::Error::other("reset"))),
        1 => Ok(User { id, name: "Ada".into() }),
        _ => Err(DbError::NoUser(id)),
    }
}

async fn rename(id: u64, name: String) -> Result<User, DbError> {
    Ok(User { id, name })
}

async fn user(
    State(users): State<Cache<User>>,
    Path(id): Path<u64>,
) -> Result<Json<Arc<User>>, AppError> {
    Ok(Json(users.get_or_try_insert_with(id, async || find(id).await).await?))
}

async fn update(
    State(users): State<Cache<User>>,
    Path((id, name)): Path<(u64, String)>,
) -> Result<Json<Arc<User>>, AppError> {
    let written = users.write_through(id, async || rename(id, name).await).await?;
    written.cached()?;
    Ok(Json(Arc::clone(written.value())))
}

async fn ask(app: &Router, method: &str, path: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn handlers_return_their_own_errors() {
    let users = Store::memory().cache::<User>("users").build().unwrap();
    let app = Router::new()
        .route("/users/{id}", get(user))
        .route("/users/{id}/{name}", put(update))
        .with_state(users);
    let text = |answer: (StatusCode, &str)| (answer.0, answer.1.to_owned());
    let ada = text((StatusCode::OK, r#"{"id":1,"name":"Ada"}"#));
    assert_eq!(ask(&app, "GET", "/users/1").await, ada);
    let missing = text((StatusCode::NOT_FOUND, "could not load: no user 7"));
    assert_eq!(ask(&app, "GET", "/users/7").await, missing);
    assert_eq!(ask(&app, "GET", "/users/0").await.0, StatusCode::BAD_GATEWAY);
    let grace = text((StatusCode::OK, r#"{"id":1,"name":"Grace"}"#));
    assert_eq!(ask(&app, "PUT", "/users/1/Grace").await, grace);
    assert_eq!(ask(&app, "GET", "/users/1").await, grace);
}
