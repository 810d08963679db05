//! Spans of calls, loads and round trips.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use hotshelf::{Cache, Store};
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::support::{on_tokio, server};

/// Collects spans up to a level, when they end.
#[derive(Clone)]
struct Ended {
    spans: Arc<Mutex<Vec<Ending>>>,
    most: Level,
}

#[derive(Clone, Debug)]
struct Ending {
    name: &'static str,
    parent: &'static str,
    fields: Fields,
}

#[derive(Clone, Debug, Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Ended {
    fn up_to(most: Level) -> Self {
        Self { spans: Arc::default(), most }
    }

    /// Returns the spans that have ended since the last call, each as `parent > name fields`.
    fn take(&self) -> Vec<String> {
        let ended = std::mem::take(&mut *self.spans.lock().unwrap());
        let text = |it: Ending| {
            let fields: Vec<_> =
                it.fields.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} > {} {}", it.parent, it.name, fields.join(" "))
        };
        ended.into_iter().map(text).collect()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Ended {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.most
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        values.record(span.extensions_mut().get_mut::<Fields>().unwrap());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let fields = span.extensions().get::<Fields>().unwrap().clone();
        let parent = span.parent().map_or("-", |parent| parent.name());
        self.spans.lock().unwrap().push(Ending { name: span.name(), parent, fields });
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

#[test]
fn calls_loads_and_stores_are_spans() {
    let ended = Ended::up_to(Level::DEBUG);
    let store = Store::memory();
    let work = async {
        let cache: Cache<u32> = store.cache("numbers").build().unwrap();
        let query = async || tracing::debug_span!("query").in_scope(|| 1);
        assert_eq!(*cache.get_or_insert_with("a", query).await, 1);
        let miss = [
            "- > cache.get cache.hit=false cache.name=numbers cache.stale=false",
            "cache.load > query ",
            "- > cache.load cache.keys=1 cache.name=numbers",
            "- > cache.put cache.keys=1 cache.name=numbers",
        ];
        assert_eq!(ended.take(), miss);

        assert_eq!(*cache.get_or_insert_with("a", query).await, 1);
        assert!(cache.get("a").await.is_some());
        assert!(cache.get("b").await.is_none());
        let hit = "- > cache.get cache.hit=true cache.name=numbers cache.stale=false \
                   cache.tier=memory";
        let none = "- > cache.get cache.hit=false cache.name=numbers cache.stale=false";
        assert_eq!(ended.take(), [hit, hit, none]);

        let load = |missing: Vec<&'static str>| async move {
            let loaded = missing.into_iter().map(|key| (key, 2));
            Ok::<_, Infallible>(loaded.collect::<Vec<_>>())
        };
        assert_eq!(cache.get_or_load_many(["a", "b", "c"], load).await.unwrap().len(), 3);
        assert_eq!(cache.get_many(["a", "x"]).await.len(), 2);
        let many = [
            "- > cache.get cache.hits=1 cache.keys=3 cache.name=numbers",
            "- > cache.load cache.keys=2 cache.name=numbers",
            "- > cache.put cache.keys=2 cache.name=numbers",
            "- > cache.get cache.hits=1 cache.keys=2 cache.name=numbers",
        ];
        assert_eq!(ended.take(), many);

        cache.insert("a", 5).await;
        let write = async || Ok::<_, Infallible>(6);
        drop(cache.write_through("a", write).await.unwrap());
        cache.invalidate("a").await.unwrap();
        store.invalidate_tags(["t", "u"]).await.unwrap();
        let writes = [
            "- > cache.put cache.keys=1 cache.name=numbers",
            "- > cache.put cache.keys=1 cache.name=numbers",
            "- > cache.invalidate cache.keys=1 cache.kind=key cache.name=numbers",
            "- > cache.invalidate cache.keys=2 cache.kind=tag",
        ];
        assert_eq!(ended.take(), writes);
    };
    let subscriber = Registry::default().with(ended.clone());
    on_tokio(work.with_subscriber(subscriber));
}

/// The digest is the one that errors show.
#[test]
fn keys_are_digests_at_trace_level() {
    let ended = Ended::up_to(Level::TRACE);
    let cache: Cache<u32> = Store::memory().cache("numbers").build().unwrap();
    let subscriber = Registry::default().with(ended.clone());
    on_tokio(cache.get("secret").with_subscriber(subscriber));

    let spans = ended.take();
    let key = spans[0].split_once("cache.key=#").expect("the key").1;
    assert!(key.split_once(' ').unwrap().0.len() == 8, "{key}");
    assert!(!spans[0].contains("secret"));
}

#[test]
fn round_trips_are_client_spans_without_arguments() {
    on_tokio(async {
        let server = server();
        let ended = Ended::up_to(Level::DEBUG);
        let store = Store::connect(&server.url()).await.unwrap();
        let cache = store.cache::<u32>("numbers").build().unwrap();
        // Connects, and loads the scripts.
        cache.get_or_insert_with("first", async || 1).await;
        let client = |parent: &str, operation: &str| {
            let port = server.port();
            format!(
                "{parent} > redis db.operation.name={operation} db.system.name=redis \
                 otel.kind=client otel.name={operation} server.address=127.0.0.1 \
                 server.port={port}"
            )
        };
        let work = async {
            cache.get_or_insert_with("secret", async || 1).await;
            cache.get_or_insert_with("secret", async || 1).await;
            let redis = store.redis().unwrap();
            redis.command(&["SET", "secret", "x"]).await.unwrap();
            redis.command(&["LPUSH", "secret", "x"]).await.unwrap_err();
        };
        work.with_subscriber(Registry::default().with(ended.clone())).await;

        let spans = ended.take();
        assert!(!spans.iter().any(|span| span.contains("secret")), "{spans:#?}");
        let hit = "- > cache.get cache.hit=true cache.name=numbers cache.stale=false \
                   cache.tier=backend";
        let failed = client("-", "LPUSH")
            .replace("db.system.name", "db.response.status_code=WRONGTYPE db.system.name")
            .replace("otel.kind", "error.type=WRONGTYPE otel.kind")
            .replace("server.address", "otel.status_code=ERROR server.address");
        let expected = [
            client("cache.get", "GET"),
            client("cache.get", "EVALSHA"),
            "- > cache.get cache.hit=false cache.name=numbers cache.stale=false".to_owned(),
            "- > cache.load cache.keys=1 cache.name=numbers".to_owned(),
            client("cache.put", "EVALSHA"),
            "- > cache.put cache.keys=1 cache.name=numbers".to_owned(),
            client("cache.get", "GET"),
            hit.to_owned(),
            client("-", "SET"),
            failed,
        ];
        assert_eq!(spans, expected, "{spans:#?}");
    });
}
