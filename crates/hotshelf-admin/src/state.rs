//! The state of the store, which the page asks for each second.

use hotshelf_core::observe::Event;
use serde_json::{Value, json};

use crate::Admin;
use crate::http::{Request, Response};

/// The number of events that a page is sent.
const EVENTS: usize = 100;

impl Admin {
    pub(crate) async fn state(&self, request: &Request<'_>) -> Response {
        let since = request.parameter("since").and_then(|it| it.parse().ok()).unwrap_or(0.0);
        self.samples.take(&self.store);
        let metrics = self.store.metrics();
        let server = self.store.info().await.ok().map(|info| {
            json!({
                "version": info.version,
                "uptime": info.uptime.as_secs(),
                "connected_clients": info.connected_clients,
                "used_memory": info.used_memory,
                "max_memory": info.max_memory,
                "limitations": info.limitations,
            })
        });
        let caches: Vec<Value> = metrics
            .caches
            .iter()
            .map(|cache| {
                json!({
                    "id": cache.id(),
                    "prefix": cache.prefix,
                    "version": cache.version,
                    "name": cache.name,
                    "value_type": cache.value_type,
                    "key_prefix": cache.key_prefix,
                    "stats": cache.stats,
                })
            })
            .collect();
        let is_up = server.is_some() && metrics.backend_up;
        Response::json(&json!({
            "now": self.now(),
            "process": self.process,
            "version": env!("CARGO_PKG_VERSION"),
            "writes": self.options.writes,
            "values": self.options.values,
            "backend": metrics.backend,
            "address": self.options.address,
            "up": is_up,
            "enabled": metrics.enabled,
            "server": server,
            "metrics": {
                "caches": caches,
                "memory": metrics.memory,
                "near": metrics.near,
                "failures": metrics.failures,
                "invalidations": metrics.invalidations,
            },
            "samples": self.samples.since(since),
            "events": self.events(),
        }))
    }

    fn events(&self) -> Vec<Value> {
        let events = self.store.events();
        let latest = events.since(0);
        let shown = |event: &Event| {
            let mut shown = json!(event);
            shown["age"] = events.age(event).as_secs_f64().into();
            shown
        };
        latest.iter().rev().take(EVENTS).map(shown).collect()
    }
}
