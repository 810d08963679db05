/// A product.
pub async fn product(
    id: u64,
    database: &Database,
) -> ::std::result::Result<
    ::std::sync::Arc<Product>,
    ::hotshelf::LoadError<sqlx::Error>,
> {
    __product::<false>(id, database).await
}
async fn __product<const __HOTSHELF_RELOAD: bool>(
    id: u64,
    database: &Database,
) -> ::std::result::Result<
    ::std::sync::Arc<Product>,
    ::hotshelf::LoadError<sqlx::Error>,
> {
    let key = id;
    let entry = (PRODUCTS).entry(key);
    let entry = if __HOTSHELF_RELOAD { entry.reload() } else { entry };
    let entry = entry.time_to_live(::std::time::Duration::from_millis(900000u64));
    entry
        .or_try_insert_with(async || -> Result<Product, sqlx::Error> {
            database.product(id).await
        })
        .await
}
#[doc(hidden)]
#[allow(dead_code)]
pub async fn __invalidate_product(
    id: u64,
) -> ::std::result::Result<::hotshelf::Invalidation, ::hotshelf::Error> {
    (PRODUCTS).entry(id).invalidate().await
}
#[doc(hidden)]
#[allow(dead_code)]
pub async fn __refresh_product(
    id: u64,
    database: &Database,
) -> ::std::result::Result<
    ::std::sync::Arc<Product>,
    ::hotshelf::LoadError<sqlx::Error>,
> {
    __product::<true>(id, database).await
}
/// What else can be done with the values of [`product`](fn@product).
#[allow(unused_imports)]
pub mod product {
    /// Removes the entry of a call with these arguments, and refuses loads in flight.
    #[doc(inline)]
    pub use super::__invalidate_product as invalidate;
    /// Loads and stores the value, even if it is cached.
    #[doc(inline)]
    pub use super::__refresh_product as refresh;
}
