//! Invalidate many entries at once: `cargo run -p hotshelf --example tags`.
#![expect(clippy::print_stdout, reason = "an example")]

use hotshelf::{Cache, Store};

#[tokio::main]
async fn main() -> Result<(), hotshelf::Error> {
    let store = Store::memory();
    // Each order carries the tag of its tenant, wherever it is loaded.
    let orders: Cache<String> =
        store.cache("orders").tags(|key| [format!("tenant:{}", key.identifier())]).build()?;
    // The pages of the list are tagged by the calls that load them.
    let pages: Cache<Vec<u64>> = store.cache("pages").build()?;

    for (tenant, order) in [("acme", 1), ("acme", 2), ("other", 3)] {
        orders.get_or_insert_with((tenant, order), async || format!("order {order}")).await;
    }
    let page = pages.entry("list").params(&[("page", 1)])?.tags(["tenant:acme"]);
    page.or_insert_with(async || vec![1, 2]).await;

    // One round trip, however many entries there are.
    store.invalidate_tag("tenant:acme").await?;
    println!("acme's order: {:?}", orders.get(("acme", 1)).await);
    println!("other's order: {:?}", orders.get(("other", 3)).await);
    Ok(())
}
