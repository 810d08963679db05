//! The initial products of an empty database.

use crate::date_time::DateTime;
use crate::product::Product;

const COUNT: u32 = 1_000;
const CATEGORIES: [&str; 5] = ["electronics", "books", "garden", "kitchen", "toys"];
/// 2026-01-01T00:00:00Z
const FIRST_CREATED: u32 = 1_767_225_600;

/// Returns the same 1,000 products each time.
pub(super) fn products() -> Vec<Product> {
    (1..=COUNT).map(product).collect()
}

fn product(number: u32) -> Product {
    let before = number - 1;
    // The step is coprime to the range, so that prices are spread over 5.00 to 499.99.
    let cents = 500 + (29_499 + before * 1_037) % 49_500;
    let category = CATEGORIES[before as usize % CATEGORIES.len()];
    Product {
        id: number.to_string(),
        name: format!("Product {number}"),
        category: category.to_owned(),
        price: f64::from(cents) / 100.0,
        in_stock: !number.is_multiple_of(10),
        created_at: created_at(before),
    }
}

/// Returns times that are a minute apart.
fn created_at(before: u32) -> DateTime {
    let seconds = f64::from(FIRST_CREATED + before * 60);
    DateTime::from_unix_time(seconds).expect("a time of this century")
}
