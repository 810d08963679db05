//! Products, pages of products, and the queries for them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::date_time::DateTime;
use crate::validation::{Fields, Validate, scalar};

/// A product, as it is stored, cached and returned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({
    "id": "1",
    "name": "Product 1",
    "category": "electronics",
    "price": 299.99,
    "in_stock": true,
    "created_at": "2026-01-01T00:00:00Z",
})))]
pub struct Product {
    /// The id; any text.
    pub id: String,
    /// The name.
    pub name: String,
    /// The category.
    pub category: String,
    /// The price of one unit.
    pub price: f64,
    /// Whether it is in stock.
    pub in_stock: bool,
    /// The time of creation: ISO 8601, or Unix time in seconds or milliseconds.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: DateTime,
}

/// One page of products.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProductList {
    /// The products of the page.
    pub items: Vec<Product>,
    /// The number of matching products on all pages.
    pub total: i64,
    /// The number of the page, from 1.
    pub page: i64,
    /// The size of a full page.
    pub per_page: i64,
}

/// The query for a page. Its serialized form is hashed into the cache key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only products of this category; all if absent or empty.
    pub category: Option<String>,
    /// The number of the page.
    #[param(minimum = 1, default = 1, required = false)]
    pub page: i64,
    /// The size of a full page.
    #[param(minimum = 1, maximum = 100, default = 20, required = false)]
    pub per_page: i64,
}

/// The new stock of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StockQuery {
    /// `true` or `false`, also `1`, `0`, `yes`, `no`, `on`, `off`.
    pub in_stock: bool,
}

impl ListQuery {
    /// Returns the number of products before this page, saturating at the maximum.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.page.saturating_sub(1).saturating_mul(self.per_page)
    }
}

impl Validate for Product {
    fn validate(fields: &mut Fields) -> Option<Self> {
        let id = fields.required("id", scalar::string);
        let name = fields.required("name", scalar::string);
        let category = fields.required("category", scalar::string);
        let price = fields.required("price", scalar::float);
        let in_stock = fields.required("in_stock", scalar::boolean);
        let created_at = fields.required("created_at", scalar::date_time);
        Some(Self {
            id: id?,
            name: name?,
            category: category?,
            price: price?,
            in_stock: in_stock?,
            created_at: created_at?,
        })
    }
}

impl Validate for ListQuery {
    fn validate(fields: &mut Fields) -> Option<Self> {
        let category = fields.or_default("category", None, |value| scalar::string(value).map(Some));
        let page = fields.or_default("page", 1, scalar::integer(1..=i64::MAX));
        let per_page = fields.or_default("per_page", 20, scalar::integer(1..=100));
        Some(Self { category: category?, page: page?, per_page: per_page? })
    }
}

impl Validate for StockQuery {
    fn validate(fields: &mut Fields) -> Option<Self> {
        let in_stock = fields.required("in_stock", scalar::boolean);
        Some(Self { in_stock: in_stock? })
    }
}
