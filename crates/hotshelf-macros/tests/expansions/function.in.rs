/// A product.
#[cached(cache = PRODUCTS, key = id, skip(database), ttl = "15m")]
pub async fn product(id: u64, database: &Database) -> Result<Product, sqlx::Error> {
    database.product(id).await
}
