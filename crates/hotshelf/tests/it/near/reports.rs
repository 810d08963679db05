//! How servers report changes, and what is kept where they don't.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use hotshelf::backend::{Fill, Layer, Stored};
use hotshelf::codec::Bytes;
use hotshelf::{Backend, BoxFuture, Error, NearOptions, RedisOptions, Store, Tracking, WireKey};

use super::changes::others_are_heard_by;
use super::{BOUND, near_store, near_store_with, numbers, until_missing, until_near};
use crate::support::{on_tokio, pause, server};

#[test]
fn broadcast_reports_are_heard() {
    on_tokio(async {
        let server = server();
        // Servers refuse those that overlap.
        let prefixes = ["cache:v1:", "cache:", "cache:"];
        let broadcast = || {
            let options = RedisOptions::from_url(&server.url()).unwrap();
            near_store_with(
                options.tracking(Tracking::Broadcast(prefixes.map(str::to_owned).to_vec())),
            )
        };
        let (here, there) = (broadcast(), broadcast());
        others_are_heard_by(here.clone(), there).await;
        // The server remembers no key that was read.
        let stats = server.cli(&["INFO", "stats"]);
        assert!(stats.contains("tracking_total_keys:0"), "{stats}");
        // Changes of other keys aren't reported.
        let other = here.cache::<u64>("numbers").prefix("other").build().unwrap();
        other.insert("k", 1).await;
        for _ in 0..100 {
            assert_eq!(other.get("k").await.as_deref(), Some(&1));
        }
        assert_eq!(other.stats().near_hits, 0);
    });
}

#[test]
fn without_reports_entries_are_kept_for_the_bound() {
    on_tokio(async {
        let server = server();
        let url = format!("{}?protocol=2", server.url());
        let near = NearOptions::default().max_staleness(BOUND);
        let store = |near| Store::builder().url(&url).near(near).build().unwrap();
        let (here, there) = (store(near.without_reports(true)), store(near));
        let (mine, theirs) = (numbers(&here), numbers(&there));
        for round in 0..5 {
            mine.insert("k", round).await;
            until_near(&mine, "k").await;
            assert_eq!(theirs.get("k").await.as_deref(), Some(&round));
            theirs.invalidate("k").await.unwrap();
            assert!(until_missing(&mine, "k").await <= BOUND);
            // Its own changes at once.
            mine.insert("k", 1).await;
            until_near(&mine, "k").await;
            mine.invalidate("k").await.unwrap();
            assert_eq!(mine.get("k").await, None);
        }
        assert_eq!(theirs.stats().near_hits, 0);
        let limitation = async |store: &Store| {
            let all = store.info().await.server.unwrap().limitations;
            all.into_iter().find(|text| text.contains("near tier")).unwrap()
        };
        assert!(limitation(&here).await.contains("keeps entries for `max_staleness`"));
        assert!(limitation(&there).await.contains("the near tier is off"));
    });
}

/// A layer that stores values reversed.
#[derive(Debug)]
struct Reversed(Arc<dyn Backend>);

fn reversed(bytes: &Bytes) -> Bytes {
    bytes.iter().rev().copied().collect()
}

impl Layer for Reversed {
    type Inner = dyn Backend;

    fn inner(&self) -> Result<impl Deref<Target = Self::Inner> + Send, Error> {
        Ok(&*self.0)
    }

    fn on_read<'a>(
        &'a self,
        keys: &'a [WireKey],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, Error>> {
        Box::pin(async move {
            let found = self.0.read(keys).await?;
            let is_entry = |key: &&WireKey| !key.as_str().starts_with("hs:");
            let read = |(key, raw): (&WireKey, Option<Bytes>)| match Some(key).filter(is_entry) {
                Some(_) => raw.as_ref().map(reversed),
                None => raw,
            };
            Ok(keys.iter().zip(found).map(read).collect())
        })
    }

    fn on_store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored, Error>>> {
        Box::pin(async move {
            let value = |fill: &Fill| Fill { value: reversed(&fill.value), ..fill.clone() };
            self.0.store(&fills.iter().map(value).collect::<Vec<_>>()).await
        })
    }
}

/// Without reports, too.
#[test]
fn reads_pass_the_layers() {
    on_tokio(async {
        let server = server();
        let near = NearOptions::default().max_staleness(BOUND).without_reports(true);
        let store = Store::builder().url(server.url()).layer(Reversed).near(near).build().unwrap();
        let cache = numbers(&store);
        cache.insert("k", 7).await;
        until_near(&cache, "k").await;
        assert_eq!(cache.get("k").await.as_deref(), Some(&7));
    });
}

/// What the server reports, or reports of nearly everything, is not kept for the bound alone.
#[test]
fn without_reports_is_for_servers_without_reports() {
    on_tokio(async {
        let server = server();
        let near = NearOptions::default().max_staleness(BOUND).without_reports(true);
        let store = Store::builder().url(server.url()).near(near).build().unwrap();
        let texts = store.cache::<String>("texts").build().unwrap();
        let large = "x".repeat(300_000);
        texts.insert("k", large.clone()).await;
        // Once it was read, it is known to be large, and has a connection that isn't tracked.
        for _ in 0..50 {
            texts.get("k").await;
            pause(Duration::from_millis(2)).await;
        }
        // Before that connection was up, it may have been read over one that is tracked.
        texts.insert("k", large.clone()).await;
        let before = texts.stats().near_hits;
        for _ in 0..50 {
            assert_eq!(texts.get("k").await.as_deref(), Some(&large));
        }
        assert_eq!(texts.stats().near_hits, before);
    });
}

#[test]
fn without_reports_there_are_no_near_hits() {
    on_tokio(async {
        let server = server();
        let store = near_store(&format!("{}?protocol=2", server.url()));
        let cache = numbers(&store);
        cache.insert("k", 1).await;
        for _ in 0..20 {
            assert_eq!(cache.get("k").await.as_deref(), Some(&1));
        }
        assert_eq!(cache.stats().near_hits, 0);
        let limitations = store.info().await.server.unwrap().limitations;
        assert!(limitations.iter().any(|text| text.contains("near tier")), "{limitations:?}");

        let invalid = NearOptions::default().max_staleness(Duration::ZERO);
        let error = Store::builder().url(server.url()).near(invalid).build().unwrap_err();
        assert!(error.to_string().contains("max_staleness"), "{error}");
    });
}

/// An ACL may deny the command that makes a read tracked, from the beginning or later.
#[test]
fn refused_caching_is_noticed() {
    on_tokio(async {
        let server = server();
        server.command(&["ACL", "SETUSER", "late", "on", ">pw", "~*", "&*", "+@all"]);
        let never = ["ACL", "SETUSER", "never", "on", ">pw", "~*", "&*", "+@all"];
        server.command(&[&never[..], &["-client|caching"]].concat());
        let of = |user: &str| near_store(&server.url().replace("//", &format!("//{user}:pw@")));
        let (never, late) = (of("never"), of("late"));
        let (of_never, of_late) = (numbers(&never), numbers(&late));
        of_never.insert("k", 1).await;
        until_near(&of_late, "k").await;
        server.command(&["ACL", "SETUSER", "late", "-client|caching"]);
        of_late.insert("k", 2).await;
        pause(Duration::from_millis(50)).await;
        for cache in [&of_never, &of_late] {
            let before = cache.stats().near_hits;
            for _ in 0..50 {
                assert_eq!(cache.get("k").await.as_deref(), Some(&2));
            }
            assert_eq!(cache.stats().near_hits, before);
        }
        let limitations = never.info().await.server.unwrap().limitations;
        assert!(limitations.iter().any(|text| text.contains("near tier")), "{limitations:?}");
    });
}
