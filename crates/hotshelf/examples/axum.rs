//! An axum service whose handlers return the loader's own error:
//! `cargo run -p hotshelf --features axum --example axum`, then
//! `curl localhost:3000/users/7`.
#![expect(clippy::print_stdout, reason = "an example")]

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hotshelf::{Cache, LoadError, Store};

#[derive(Debug)]
enum AppError {
    NotFound,
    Database(&'static str),
}

/// By reference, since callers that waited for one load share its error.
impl IntoResponse for &AppError {
    fn into_response(self) -> Response {
        match self {
            AppError::NotFound => StatusCode::NOT_FOUND.into_response(),
            AppError::Database(reason) => {
                println!("the database failed: {reason}");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

async fn find_user(id: u64) -> Result<String, AppError> {
    match id {
        0 => Err(AppError::Database("connection refused")),
        1..100 => Ok(format!("user {id}")),
        _ => Err(AppError::NotFound),
    }
}

async fn user(
    State(users): State<Cache<String>>,
    Path(id): Path<u64>,
) -> Result<Json<Arc<String>>, LoadError<AppError>> {
    users.get_or_try_insert_with(id, async || find_user(id).await).await.map(Json)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let users = Store::memory().cache("users").build()?;
    let app = Router::new().route("/users/{id}", get(user)).with_state(users);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
