//! Write to the database and the cache as one: `cargo run -p hotshelf --example write_through`.
#![expect(clippy::print_stdout, reason = "an example")]

use std::sync::atomic::{AtomicU32, Ordering};

use hotshelf::{Cache, Store};

/// Stands for a table of the database.
static STOCK: AtomicU32 = AtomicU32::new(10);

async fn sell() -> Result<u32, std::io::Error> {
    Ok(STOCK.fetch_sub(1, Ordering::SeqCst) - 1)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let stock: Cache<u32> = Store::memory().cache("stock").build()?;
    let load = async || STOCK.load(Ordering::SeqCst);
    println!("before: {}", stock.get_or_insert_with("lamp", load).await);

    // A load that read the older number while this runs can't store it any more.
    let written = stock.write_through("lamp", async || sell().await).await?;
    if let Err(error) = written.cached() {
        println!("the cache may serve the older number for a while: {error}");
    }
    println!("written: {}, read again: {:?}", *written, stock.get("lamp").await);
    Ok(())
}
