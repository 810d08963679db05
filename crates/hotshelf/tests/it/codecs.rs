//! Codecs of caches: raw bytes, MessagePack, and an application's own.

use std::sync::Arc;
use std::time::Duration;

use hotshelf::backend::MAGIC;
use hotshelf::codec::{BoxError, Bytes, Codec, Json, MessagePack, Raw};
use hotshelf::{ErrorKind, Lookup, NearOptions, Store, StoreBuilder};
use serde::{Deserialize, Serialize};

use crate::support::{on_each_backend, on_tokio, server};

/// Every byte, at the end four characters of white space.
fn all_bytes() -> Bytes {
    (0..=255).chain(*b" \t\r\n").collect::<Vec<u8>>().into()
}

#[test]
fn raw_bytes_are_stored_as_they_are() {
    on_each_backend(async |store: Store| {
        let bytes = store.cache::<Bytes>("bytes").codec(Raw).build().unwrap();
        let vectors = store.cache::<Vec<u8>>("vectors").codec(Raw).build().unwrap();
        let texts = store.cache::<String>("texts").codec(Raw).build().unwrap();
        for value in [Bytes::new(), all_bytes(), Bytes::from_static(b"null")] {
            assert!(bytes.insert("k", value.clone()).await);
            assert_eq!(bytes.get("k").await.as_deref(), Some(&value));
            assert!(vectors.insert("k", value.to_vec()).await);
            assert_eq!(vectors.get("k").await.as_deref(), Some(&value.to_vec()));
        }
        assert!(texts.insert("k", "Ada".to_owned()).await);
        assert_eq!(texts.get("k").await.as_deref().map(String::as_str), Some("Ada"));
    });
}

#[test]
fn negatives_differ_from_every_raw_value() {
    on_each_backend(async |store: Store| {
        let minute = Duration::from_secs(60);
        let builder = store.cache::<Bytes>("bytes").codec(Raw).negative_ttl(minute);
        let cache = builder.build().unwrap();
        let absent = async || Ok::<_, ErrorKind>(None::<Bytes>);
        assert_eq!(cache.entry("k").or_try_load_optional(absent).await.unwrap(), None);
        assert_eq!(cache.lookup("k").await, Lookup::Absent);
        cache.insert("k", Bytes::from_static(b"null")).await;
        assert!(matches!(cache.lookup("k").await, Lookup::Present(_)));
    });
}

#[test]
fn raw_entry_takes_its_length_and_a_trailer() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let cache = store.cache::<Bytes>("bytes").codec(Raw).build().unwrap();
        cache.insert("k", all_bytes()).await;
        let stored = store.redis().unwrap().get(cache.wire_key("k").as_str()).await.unwrap();
        let stored = stored.unwrap();
        assert_eq!(stored.len(), all_bytes().len() + 116);
        assert!(stored.starts_with(&all_bytes()));
    });
}

#[test]
fn hits_in_memory_share_the_bytes() {
    on_tokio(async {
        let cache = Store::memory().cache::<Bytes>("bytes").codec(Raw).build().unwrap();
        cache.insert("k", all_bytes()).await;
        let (first, second) = (cache.get("k").await.unwrap(), cache.get("k").await.unwrap());
        assert!(Arc::ptr_eq(&first, &second));
    });
}

/// Bare values have no trailer that would tell them from others.
#[test]
fn bare_value_that_ends_like_an_entry_is_not_stored() {
    on_each_backend(async |store: Store| {
        let builder = store.cache::<Bytes>("bytes").codec(Raw).strict_plain(true);
        let cache = builder.build().unwrap();
        assert!(cache.insert("k", all_bytes()).await);
        let forged = Bytes::from([b"x", &MAGIC[..]].concat());
        let negative = Bytes::from_static(b"null\t \n\t \n\t ");
        for value in [forged, negative] {
            assert!(!cache.insert("k", value.clone()).await);
            assert_eq!(cache.get("k").await, None);
            let error = cache.fallible().insert("k", value).await.unwrap_err();
            assert!(error.to_string().contains("`strict_plain`"), "{error}");
        }
    });
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Product {
    name: String,
    image: Bytes,
}

#[test]
fn message_pack_is_smaller_than_json() {
    on_each_backend(async |store: Store| {
        let product = || Product { name: "tea".to_owned(), image: all_bytes() };
        let json = store.cache("json").codec(Json).build().unwrap();
        let packed = store.cache("packed").codec(MessagePack).build().unwrap();
        assert_eq!(*json.get_or_insert_with("k", async || product()).await, product());
        assert_eq!(*packed.get_or_insert_with("k", async || product()).await, product());
        assert_eq!(packed.get("k").await.as_deref(), Some(&product()));
    });
}

/// A type that serde doesn't know.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point(i32, i32);

struct PointCodec;

impl Codec<Point> for PointCodec {
    fn encode(&self, Point(x, y): &Point) -> Result<Bytes, BoxError> {
        if *x == i32::MIN {
            return Err("out of range".into());
        }
        Ok(Bytes::from([x.to_be_bytes(), y.to_be_bytes()].concat()))
    }

    fn decode(&self, encoded: &Bytes) -> Result<Point, BoxError> {
        let both = u64::from_be_bytes(encoded[..].try_into()?);
        Ok(Point((both >> 32) as i32, both as i32))
    }
}

#[test]
fn own_codec_needs_no_serde() {
    on_each_backend(async |store: Store| {
        let points = store.cache("points").codec(PointCodec).build().unwrap();
        let load = async || Point(-3, 7);
        assert_eq!(*points.get_or_insert_with("k", load).await, Point(-3, 7));
        assert_eq!(points.get("k").await.as_deref(), Some(&Point(-3, 7)));
        // What can't be encoded is returned, and not stored.
        let strange = async || Point(i32::MIN, 0);
        assert_eq!(*points.get_or_insert_with("strange", strange).await, Point(i32::MIN, 0));
        assert_eq!(points.get("strange").await, None);
        assert_eq!(points.stats().unstorable, 1);
        let error = points.fallible().insert("k", Point(i32::MIN, 0)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encode);
    });
}

#[test]
fn entries_of_another_codec_are_misses() {
    on_tokio(async {
        let server = server();
        let write = Store::connect(&server.url()).await.unwrap();
        let read = Store::connect(&server.url()).await.unwrap();
        let raw = write.cache::<String>("texts").codec(Raw).build().unwrap();
        assert!(raw.insert("k", "Ada".to_owned()).await);
        let cache = read.cache::<String>("texts").build().unwrap();
        assert_eq!(cache.get("k").await, None);
        assert_eq!(cache.stats().foreign, 1);
    });
}

/// Bytes that another codec can decode, too.
#[test]
fn codec_of_an_entry_is_compared_and_not_guessed() {
    on_tokio(async {
        let server = server();
        for near in [false, true] {
            let store = || {
                let builder = Store::builder().url(server.url());
                let near = near.then(NearOptions::default);
                near.into_iter().fold(builder, StoreBuilder::near).build().unwrap()
            };
            let (packed, json, raw) = (store(), store(), store());
            let packed = packed.cache::<u64>("numbers").codec(MessagePack).build().unwrap();
            let json = json.cache::<u64>("numbers").build().unwrap();
            let raw = raw.cache::<Vec<u8>>("numbers").codec(Raw).build().unwrap();
            // 53 is the digit 5.
            assert!(packed.insert("k", 53).await);
            for _ in 0..20 {
                assert_eq!(packed.get("k").await.as_deref(), Some(&53));
                assert_eq!(json.get("k").await, None);
                assert_eq!(raw.get("k").await, None);
            }
            assert_eq!((json.stats().foreign, raw.stats().foreign), (20, 20));
            // It is replaced.
            assert_eq!(*json.get_or_insert_with("k", async || 7).await, 7);
            assert_eq!(json.get("k").await.as_deref(), Some(&7));
            assert_eq!((packed.get("k").await, raw.get("k").await), (None, None));
        }
    });
}

#[test]
fn caches_of_one_name_agree_on_the_codec() {
    let store = Store::memory();
    let raw = store.cache::<String>("texts").codec(Raw).build().unwrap();
    assert!(store.cache::<String>("texts").codec(Raw).build().is_ok());
    let error = store.cache::<String>("texts").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("codec: raw bytes, now codec: JSON"), "{error}");
    drop(raw);
}

/// Asks for the size of values alone: it reads eight bytes.
struct Eight;

impl Codec<u64> for Eight {
    fn encode(&self, value: &u64) -> Result<Bytes, BoxError> {
        // With room to spare, as growing buffers have.
        let mut bytes = Vec::with_capacity(1 << 20);
        bytes.extend(value.to_be_bytes());
        Ok(Bytes::from(bytes))
    }

    fn decode(&self, encoded: &Bytes) -> Result<u64, BoxError> {
        Ok(u64::from_be_bytes(encoded[..].try_into()?))
    }

    fn decoded_size(&self, encoded: &Bytes) -> usize {
        usize::from(encoded[7]) * 1_000
    }
}

#[test]
fn size_is_asked_of_values_alone() {
    on_tokio(async {
        let server = server();
        let near = NearOptions::default();
        let store = Store::builder().url(server.url()).near(near).build().unwrap();
        let minute = Duration::from_secs(60);
        let tagged = store.cache("numbers").codec(Eight).tags(|_| ["all"]).negative_ttl(minute);
        let tagged = tagged.build().unwrap();
        let json = store.cache::<u64>("others").build().unwrap();
        let absent = async || Ok::<_, ErrorKind>(None::<u64>);
        for _ in 0..50 {
            assert_eq!(*tagged.get_or_insert_with("k", async || 7).await, 7);
            assert_eq!(tagged.entry("absent").or_try_load_optional(absent).await.unwrap(), None);
            json.insert("k", 1).await;
            assert_eq!(json.get("k").await.as_deref(), Some(&1));
        }
        // What another cache has stored, and a plain client.
        for value in ["\"text\"", ""] {
            server.command(&["SET", tagged.wire_key("foreign").as_str(), value]);
            assert_eq!(tagged.get("foreign").await, None);
        }
        assert!(tagged.stats().near_hits > 0);
    });
}

#[test]
fn spare_capacity_of_a_codec_is_not_kept() {
    on_tokio(async {
        for plain in [false, true] {
            let store = Store::memory();
            let cache = store.cache("numbers").codec(Eight).strict_plain(plain).build().unwrap();
            for key in 0..2_000_u64 {
                assert!(cache.insert(key, key % 256).await);
            }
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kilobytes: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kilobytes < 500_000, "{kilobytes} kB");
    });
}
