#[cached(cache = cache, skip(http, preview), when = !preview, negative_ttl = Duration::from_secs(5))]
async fn rate<H: Http>(cache: &Cache<Rate>, currency: Currency, http: &H, preview: bool) -> Option<Rate>
where
    H::Error: Debug,
{
    http.rate(currency).await
}
