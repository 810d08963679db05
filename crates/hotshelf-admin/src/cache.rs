//! One cache: its options, and when its entries end.

use std::cmp::Reverse;
use std::time::Duration;

use hotshelf_core::cache::{ByteCache, NegativeTtl};
use hotshelf_core::{Error, Pattern};
use serde_json::{Value, json};

use crate::Admin;
use crate::http::{Request, Response};

/// The number of entries that are looked at.
const SAMPLED: usize = 500;

/// The number of steps of the scan for them: a small cache may be one of many on a server.
const STEPS: usize = 50;

/// The number of keys that are shown as the hottest.
const HOTTEST: usize = 10;

/// The bounds of the histogram, in seconds, with their labels.
const BOUNDS: [(&str, u64); 7] = [
    ("stale", 0),
    ("under 10 s", 10),
    ("under 1 m", 60),
    ("under 5 m", 300),
    ("under 15 m", 900),
    ("under 1 h", 3_600),
    ("under 1 d", 86_400),
];

impl Admin {
    pub(crate) async fn cache(&self, request: &Request<'_>) -> Response {
        let id = request.parameter("id").unwrap_or_default();
        let caches = self.store.caches_by_id(&id);
        let Some(cache) = caches.first() else {
            return Response::error(404, "there is no such cache");
        };
        let (sampled, buckets) = match self.ends(cache).await {
            Ok(ends) => ends,
            Err(error) => return Response::error(502, &error.to_string()),
        };
        Response::json(&json!({
            "options": self.options_by_type(&id, &caches),
            "hot": hottest(&caches),
            "ttl": { "sampled": sampled, "buckets": buckets },
        }))
    }

    /// Returns how many entries were looked at, and how many of them end when.
    async fn ends(&self, cache: &ByteCache) -> Result<(usize, Vec<(&'static str, usize)>), Error> {
        let mut buckets: Vec<_> = BOUNDS.iter().map(|(label, _)| (*label, 0)).collect();
        buckets.push(("longer", 0));
        let mut scan = self.store.scan(&Pattern::new(cache.key_pattern()))?;
        let mut sampled = 0;
        for _ in 0..STEPS {
            let Some(keys) = scan.next().await? else { break };
            let keys = &keys[..keys.len().min(SAMPLED - sampled)];
            for entry in self.store.inspect(keys).await?.into_iter().flatten() {
                sampled += 1;
                let Some(left) = entry.fresh_for else { continue };
                let ends = |(_, bound): &(&str, u64)| left <= Duration::from_secs(*bound);
                let at = BOUNDS.iter().position(ends).unwrap_or(BOUNDS.len());
                buckets[at].1 += 1;
            }
            if sampled >= SAMPLED {
                break;
            }
        }
        Ok((sampled, buckets))
    }

    /// Returns the options of each kind of values that the cache was given.
    fn options_by_type(&self, id: &str, caches: &[ByteCache]) -> Vec<Value> {
        let infos = self.store.caches();
        let types = infos.iter().filter(|info| info.id() == id).map(|info| &info.value_type);
        let of = |(cache, kind): (&ByteCache, _)| json!({ "type": kind, "options": self.options(cache) });
        caches.iter().zip(types).map(of).collect()
    }

    /// Returns the options in force, as text.
    fn options(&self, cache: &ByteCache) -> Vec<(&'static str, String)> {
        let it = cache.options();
        let on = |it: bool| if it { "on" } else { "off" }.to_owned();
        let text = |time: Duration| format!("{time:?}");
        let unless_zero =
            |time: Duration| if time.is_zero() { "off".to_owned() } else { text(time) };
        let limit = |time: Option<Duration>| time.map_or_else(|| "off".to_owned(), text);
        let negatives = match it.negative_ttl {
            NegativeTtl::Off => "off".to_owned(),
            NegativeTtl::SameAsValues => "as values".to_owned(),
            NegativeTtl::For(time) => text(time),
            _ => "on".to_owned(),
        };
        let early = if it.early_refresh > 0.0 { it.early_refresh.to_string() } else { on(false) };
        let near = it.near && self.store.metrics().near.is_some();
        vec![
            ("time_to_live", text(it.time_to_live)),
            ("jitter", format!("±{:.0} %", it.jitter.as_ratio() * 100.0)),
            ("negative_ttl", negatives),
            ("stale_while_revalidate", unless_zero(it.stale_while_revalidate)),
            ("stale_if_error", unless_zero(it.stale_if_error)),
            ("error_throttle", unless_zero(it.error_throttle)),
            ("error_backoff", unless_zero(it.error_backoff)),
            ("early_refresh", early),
            ("soft_timeout", limit(it.soft_timeout)),
            ("hard_timeout", limit(it.hard_timeout)),
            ("hold", unless_zero(it.hold)),
            ("wait_timeout", text(it.wait_timeout)),
            ("backend_budget", text(it.backend_budget)),
            ("max_value_bytes", it.max_value_bytes.to_string()),
            ("near tier", on(near)),
            ("epoch", on(it.epoch)),
            ("strict_plain", on(it.strict_plain)),
            ("plain_readers", on(it.plain_readers)),
        ]
    }
}

/// Returns the keys that are read most, the hottest first.
fn hottest(caches: &[ByteCache]) -> Vec<(String, u64)> {
    let keys = caches.iter().flat_map(|cache| cache.hot_keys(HOTTEST));
    let mut keys: Vec<_> = keys.map(|(key, reads)| (key.as_str().to_owned(), reads)).collect();
    keys.sort_by_key(|(_, reads)| Reverse(*reads));
    keys.truncate(HOTTEST);
    keys
}
