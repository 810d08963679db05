//! Spans of loads.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use hotshelf::Cache;
use hotshelf::testing::TestStore;
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// Keeps the spans that were opened, with their parents and fields.
#[derive(Clone, Default)]
struct Opened(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Opened {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let span = context.span(id).unwrap();
        let parent = span.parent().map_or("-", |parent| parent.name());
        let Fields(fields) = fields;
        self.0.lock().unwrap().push(format!("{parent} > {} {fields:?}", span.name()));
    }
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

#[test]
fn each_load_is_a_span_around_its_loader() {
    let opened = Opened::default();
    let test = TestStore::new();
    let work = async {
        let cache: Cache<u32> = test.store().cache("numbers").build().unwrap();
        for _ in 0..2 {
            let query = async || tracing::debug_span!("query").in_scope(|| 1);
            assert_eq!(*cache.get_or_insert_with("a", query).await, 1);
        }
        let load = |missing: Vec<&'static str>| async move {
            let loaded = missing.into_iter().map(|key| (key, 2));
            Ok::<_, Infallible>(loaded.collect::<Vec<_>>())
        };
        assert_eq!(cache.get_or_load_many(["a", "b", "c"], load).await.unwrap().len(), 3);
    };
    let subscriber = Registry::default().with(opened.clone());
    work.with_subscriber(subscriber).now_or_never().unwrap();

    let opened = opened.0.lock().unwrap();
    let expected = [
        r#"- > cache.load {"cache": "\"numbers\"", "keys": "1"}"#,
        "cache.load > query {}",
        r#"- > cache.load {"cache": "\"numbers\"", "keys": "2"}"#,
    ];
    assert_eq!(*opened, expected);
}
