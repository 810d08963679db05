//! A product catalogue with an HTTP API, cached by [hotshelf] in memory or on Redis.
//!
//! A port of an example of fastapi-rc: the same endpoints, keys and bodies, on a real
//! database. [`App`] is the entry point.

mod app;
mod cache_status;
mod config;
mod date_time;
mod db;
mod error;
mod human_size;
mod product;
mod routes;
mod staleness;
pub mod validation;

pub use app::App;
pub use config::{Config, InvalidSetting};
pub use date_time::{DateTime, DateTimeError};
pub use db::Db;
pub use error::{AppError, Detail};
pub use product::{ListQuery, Product, ProductList, StockQuery};
pub use staleness::Staleness;
