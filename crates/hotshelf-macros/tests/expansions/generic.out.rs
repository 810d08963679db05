async fn rate<H: Http>(
    cache: &Cache<Rate>,
    currency: Currency,
    http: &H,
    preview: bool,
) -> ::std::option::Option<::std::sync::Arc<Rate>>
where
    H::Error: Debug,
{
    __rate::<false, H>(cache, currency, http, preview).await
}
async fn __rate<const __HOTSHELF_RELOAD: bool, H: Http>(
    cache: &Cache<Rate>,
    currency: Currency,
    http: &H,
    preview: bool,
) -> ::std::option::Option<::std::sync::Arc<Rate>>
where
    H::Error: Debug,
{
    let key = ::hotshelf::IntoKey::to_key(&currency);
    let entry = (cache).entry(key);
    let entry = if __HOTSHELF_RELOAD { entry.reload() } else { entry };
    let entry = entry.negative_ttl(Duration::from_secs(5));
    let entry = if !preview { entry } else { entry.bypass() };
    entry
        .or_insert_optional_with(async || -> Option<Rate> { http.rate(currency).await })
        .await
}
#[doc(hidden)]
#[allow(dead_code)]
async fn __invalidate_rate(
    cache: &Cache<Rate>,
    currency: Currency,
) -> ::std::result::Result<::hotshelf::Invalidation, ::hotshelf::Error> {
    (cache).entry(::hotshelf::IntoKey::to_key(&currency)).invalidate().await
}
#[doc(hidden)]
#[allow(dead_code)]
async fn __refresh_rate<H: Http>(
    cache: &Cache<Rate>,
    currency: Currency,
    http: &H,
    preview: bool,
) -> ::std::option::Option<::std::sync::Arc<Rate>>
where
    H::Error: Debug,
{
    __rate::<true, H>(cache, currency, http, preview).await
}
/// What else can be done with the values of [`rate`](fn@rate).
#[allow(unused_imports)]
mod rate {
    /// Removes the entry of a call with these arguments, and refuses loads in flight.
    #[doc(inline)]
    pub(super) use super::__invalidate_rate as invalidate;
    /// Loads and stores the value, even if it is cached.
    #[doc(inline)]
    pub(super) use super::__refresh_rate as refresh;
}
