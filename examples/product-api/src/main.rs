//! Serves the product API until it is stopped.

use std::error::Error;

use hotshelf::{NearOptions, Store};
use product_api::{App, Config, Db};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    #[expect(clippy::disallowed_methods, reason = "a binary reads its settings from outside")]
    let config = Config::read(|name| std::env::var(name).ok())?;

    let store = match &config.redis_url {
        Some(url) if config.has_near_tier => {
            Store::builder().url(url).near(NearOptions::default()).build()?
        }
        Some(url) => Store::connect(url).await?,
        None => Store::memory(),
    };
    let db = Db::open(&config.database_url).await?;
    let router = App::configured(store.clone(), db.clone(), &config)?.into_router();
    let listener = TcpListener::bind(&config.address).await?;
    announce(&config, &listener)?;

    let stop = stop_signal()?;
    axum::serve(listener, router).with_graceful_shutdown(stop).await?;
    store.close().await;
    db.close().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "prints the address of the service")]
fn announce(config: &Config, listener: &TcpListener) -> std::io::Result<()> {
    let url = format!("http://{}", listener.local_addr()?);
    let (cache, database) = (config.cache_scheme(), config.database_scheme());
    println!("Product API on {url} (cache: {cache}, database: {database})");
    for path in ["/docs", "/products/1", "/products?category=books", "/cache/info", "/health"] {
        println!("  {url}{path}");
    }
    if config.has_admin_page {
        println!("  {url}/admin");
    }
    if config.is_debug {
        println!("  {url}/cache/explain/products/1");
    }
    Ok(())
}

/// Returns a future that completes on the first SIGINT or SIGTERM. Both are caught from this
/// call on.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping, finishing active requests");
    })
}
