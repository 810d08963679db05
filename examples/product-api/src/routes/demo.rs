//! Faults on demand, for a demonstration.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde::Deserialize;

use crate::app::App;
use crate::db::Db;

#[derive(Deserialize)]
struct Fault {
    down: bool,
}

pub(crate) fn demo() -> Router<App> {
    Router::new().route("/demo/database", post(database))
}

async fn database(State(db): State<Db>, Query(Fault { down }): Query<Fault>) -> StatusCode {
    match db.break_down(down).await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::CONFLICT,
    }
}
