//! Passwords are never shown, in any output of a store.

use std::error::Error as _;
use std::fmt::Write as _;

use hotshelf::{Error, RedisOptions, Store};
use hotshelf_testkit::RedisServer;

use crate::support::on_tokio;

const PASSWORD: &str = "sekret-p4ss";

fn assert_hidden(text: &str) {
    assert!(!text.contains(PASSWORD), "{text}");
}

fn all_of(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, " {cause} {cause:?}").unwrap();
        source = cause.source();
    }
    text
}

#[test]
fn store_shows_no_password() {
    let log = Log::default();
    let subscriber = log.clone();
    tracing::subscriber::with_default(subscriber, || {
        on_tokio(async {
            let mut server = RedisServer::start_with(&["--requirepass", PASSWORD]).unwrap();
            let url = server.url().replace("redis://", &format!("redis://:{PASSWORD}@"));
            let builder = Store::builder().url(&url);
            assert_hidden(&format!("{builder:?}"));
            assert_hidden(&format!("{:?}", RedisOptions::from_url(&url).unwrap()));

            let store = Store::connect(&url).await.unwrap();
            store.ping().await.unwrap();
            let texts = store.cache::<String>("texts").build().unwrap();
            texts.fallible().insert("k", "v".to_owned()).await.unwrap();
            let info = store.info().await;
            assert!(info.server.is_some());
            assert_hidden(&format!("{store:?} {texts:?} {info:?} {:?}", store.redis()));
            assert_hidden(&serde_json::to_string(&info).unwrap());

            server.kill();
            while store.ping().await.is_ok() {}
            assert_hidden(&all_of(&texts.fallible().get("k").await.unwrap_err()));
        });
    });
    let log = log.text();
    assert!(log.contains("lost connection"), "{log}");
    assert_hidden(&log);
}

#[test]
fn rejected_password_is_not_shown() {
    on_tokio(async {
        let server = RedisServer::start_with(&["--requirepass", "another"]).unwrap();
        let url = server.url().replace("redis://", &format!("redis://:{PASSWORD}@"));
        let error = Store::connect(&url).await.unwrap().ping().await.unwrap_err();
        assert_hidden(&all_of(&error));
    });
}

#[test]
fn invalid_url_is_not_shown() {
    for url in [
        format!("redis://:{PASSWORD}@host:port"),
        format!("redis://:{PASSWORD}@"),
        format!("bolt://:{PASSWORD}@host"),
        format!("redis+sentinel://:{PASSWORD}@host"),
        format!("{PASSWORD}@host"),
    ] {
        let error = on_tokio(Store::connect(&url)).unwrap_err();
        assert_hidden(&all_of(&error));
    }
}

/// Collects log lines.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<String>>);

impl Log {
    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields<'a>(&'a mut String);
        impl tracing::field::Visit for Fields<'_> {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                write!(self.0, "{field}={value:?} ").unwrap();
            }
        }
        event.record(&mut Fields(&mut self.0.lock().unwrap()));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
