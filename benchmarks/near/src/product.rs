//! The value of all entries.

use serde::{Deserialize, Serialize};

/// A struct of 10 fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Product {
    id: u64,
    name: String,
    category: String,
    description: String,
    price: f64,
    currency: String,
    in_stock: bool,
    weight_grams: u32,
    tags: Vec<String>,
    created_at: String,
}

impl Product {
    pub(crate) fn numbered(id: usize) -> Self {
        Self {
            id: id as u64,
            name: format!("Reading lamp {id}"),
            category: "lighting".into(),
            description: "A lamp to read by, with an arm of brass and a shade of linen".into(),
            price: 59.9,
            currency: "EUR".into(),
            in_stock: true,
            weight_grams: 1_850,
            tags: vec!["lamp".into(), "brass".into()],
            created_at: "2026-01-02T03:04:05Z".into(),
        }
    }
}
