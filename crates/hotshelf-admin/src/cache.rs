//! One cache: its options, and when its entries end.

use std::time::Duration;

use hotshelf_core::cache::ByteCache;
use hotshelf_core::{Error, Pattern};
use serde_json::json;

use crate::Admin;
use crate::http::{Request, Response};

/// The number of entries that are looked at.
const SAMPLED: usize = 500;

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
        let Some(cache) = self.store.cache_by_id(&id) else {
            return Response::error(404, "there is no such cache");
        };
        let (sampled, buckets) = match self.ends(&cache).await {
            Ok(ends) => ends,
            Err(error) => return Response::error(502, &error.to_string()),
        };
        Response::json(&json!({
            "options": options(&cache),
            "hot": [],
            "ttl": { "sampled": sampled, "buckets": buckets },
        }))
    }

    /// Returns how many entries were looked at, and how many of them end when.
    async fn ends(&self, cache: &ByteCache) -> Result<(usize, Vec<(&'static str, usize)>), Error> {
        let mut buckets: Vec<_> = BOUNDS.iter().map(|(label, _)| (*label, 0)).collect();
        buckets.push(("longer", 0));
        let mut scan = self.store.scan(&Pattern::new(cache.key_pattern()))?;
        let mut sampled = 0;
        while let Some(keys) = scan.next().await? {
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
}

/// Returns the options in force, as text.
fn options(cache: &ByteCache) -> Vec<(&'static str, String)> {
    let it = cache.options();
    let off = |time: Duration| if time.is_zero() { "off".to_owned() } else { format!("{time:?}") };
    let limit =
        |time: Option<Duration>| time.map_or_else(|| "off".to_owned(), |it| format!("{it:?}"));
    vec![
        ("time_to_live", format!("{:?}", it.time_to_live)),
        ("jitter", format!("{:?}", it.jitter)),
        ("negative_ttl", format!("{:?}", it.negative_ttl)),
        ("stale_while_revalidate", off(it.stale_while_revalidate)),
        ("stale_if_error", off(it.stale_if_error)),
        ("error_throttle", off(it.error_throttle)),
        ("error_backoff", off(it.error_backoff)),
        ("early_refresh", format!("{}", it.early_refresh)),
        ("soft_timeout", limit(it.soft_timeout)),
        ("hard_timeout", limit(it.hard_timeout)),
        ("hold", off(it.hold)),
        ("wait_timeout", format!("{:?}", it.wait_timeout)),
        ("backend_budget", format!("{:?}", it.backend_budget)),
        ("max_value_bytes", it.max_value_bytes.to_string()),
        ("near", it.near.to_string()),
        ("epoch", it.epoch.to_string()),
        ("strict_plain", it.strict_plain.to_string()),
        ("plain_readers", it.plain_readers.to_string()),
    ]
}
