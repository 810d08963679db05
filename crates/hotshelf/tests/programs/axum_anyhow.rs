//! An axum service whose functions return `anyhow::Error`.

use std::sync::Arc;

use anyhow::Context;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hotshelf::{Cache, Store};

#[derive(Debug)]
struct AppError(anyhow::Error);

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{:#}", self.0)).into_response()
    }
}

impl<E: Into<anyhow::Error>> From<E> for AppError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

async fn fetch(id: &str) -> anyhow::Result<u32> {
    id.parse().with_context(|| format!("the price of {id}"))
}

/// A layer of the application between handler and database.
async fn price_of(prices: &Cache<u32>, id: &str) -> anyhow::Result<Arc<u32>> {
    Ok(prices.get_or_try_insert_with(id, async || fetch(id).await).await?)
}

async fn boxed(
    prices: &Cache<u32>,
    id: &str,
) -> Result<Arc<u32>, Box<dyn std::error::Error + Send + Sync>> {
    let load =
        async || -> Result<u32, Box<dyn std::error::Error + Send + Sync>> { Ok(id.parse()?) };
    Ok(prices.get_or_try_insert_with(id, load).await?)
}

async fn price(
    State(prices): State<Cache<u32>>,
    Path(id): Path<String>,
) -> Result<Json<Arc<u32>>, AppError> {
    Ok(Json(price_of(&prices, &id).await?))
}

#[tokio::test]
async fn errors_show_their_cause() {
    let prices = Store::memory().cache::<u32>("prices").build().unwrap();
    let _app: Router = Router::new().route("/{id}", get(price)).with_state(prices.clone());
    assert_eq!(*price_of(&prices, "5").await.unwrap(), 5);
    let error = price_of(&prices, "lamp").await.unwrap_err();
    assert_eq!(format!("{error:#}"), "the price of lamp: invalid digit found in string");
    let error = boxed(&prices, "lamp").await.unwrap_err();
    assert_eq!(error.to_string(), "invalid digit found in string");
    let failed = price_of(&prices, "lamp").await.map_err(AppError::from);
    assert_eq!(failed.unwrap_err().into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn errors_come_back_without_clone() {
    let prices = Store::memory().cache::<u32>("prices").build().unwrap();
    let failed = prices.get_or_try_insert_with("lamp", async || fetch("lamp").await).await;
    let error: anyhow::Error = failed.unwrap_err().try_unwrap().unwrap();
    assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
}
