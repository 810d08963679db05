//! Keys of an application's own identifiers.

use std::borrow::Cow;

use hotshelf::{Cache, IntoKey, Key, Store};
use uuid::Uuid;

#[derive(Clone, Copy)]
enum Page {
    Home,
    Product(Uuid),
}

impl IntoKey for Page {
    fn to_key(&self) -> Key<'_> {
        match self {
            Self::Home => Key::new("home"),
            Self::Product(id) => Key::new(("product", *id)),
        }
    }
}

struct Tenant(String);

impl IntoKey for Tenant {
    fn to_key(&self) -> Key<'_> {
        self.0.to_key()
    }
}

async fn count(cache: &Cache<u32>, key: impl IntoKey) -> u32 {
    *cache.get_or_insert_with(key, async || cache.stats().loads as u32).await
}

#[tokio::test]
async fn references_and_values_name_one_entry() {
    let cache = Store::memory().cache::<u32>("pages").build().unwrap();
    let (number, id) = (7_u64, Uuid::from_u128(0x1234));
    assert_eq!(count(&cache, &number).await, count(&cache, number).await);
    assert_eq!(count(&cache, &id).await, count(&cache, id.to_string()).await);
    assert_eq!(count(&cache, ("acme", &id)).await, count(&cache, (Cow::from("acme"), id)).await);
    assert_eq!(count(&cache, Page::Home).await, count(&cache, "home").await);
    assert_eq!(count(&cache, &Page::Product(id)).await, count(&cache, ("product", id)).await);
    let tenant = Tenant("acme".into());
    assert_eq!(count(&cache, (&tenant, 1)).await, count(&cache, ("acme", 1_u8)).await);
    assert_eq!(cache.stats().loads, 6);
    assert_ne!(cache.wire_key(("acme", 1)), cache.wire_key("acme,1"));
    assert_eq!(cache.get_many(&[number]).await.len(), 1);
}
