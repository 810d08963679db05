//! Keys: lists of them, and one in detail.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hotshelf_core::cache::{
    ByteCache, CallOptions, EntryScan, EntryState, Explanation, Inspection, TagInfo, Verdict,
};
use hotshelf_core::sync::Mutex;
use hotshelf_core::{Error, ErrorKind, Pattern, WireKey};
use serde_json::json;

use crate::Admin;
use crate::http::{Request, Response};

/// The number of scans that may be open at once; the oldest ones are dropped.
const OPEN: usize = 16;

/// The number of keys of one page, at least, and the number of steps of a scan for it, at most.
const PAGE: usize = 50;
const STEPS: usize = 20;

/// The longest value that is shown, in bytes.
const SHOWN: usize = 64 << 10;

/// Scans that go on with the next page.
#[derive(Default)]
pub(crate) struct Scans {
    open: Mutex<VecDeque<(u64, Open)>>,
    count: AtomicU64,
}

struct Open {
    scan: EntryScan,
    /// Keys that were found and not shown yet.
    rest: Vec<WireKey>,
    scanned: usize,
}

impl Scans {
    fn take(&self, id: u64) -> Option<Open> {
        let mut open = self.open.lock();
        let at = open.iter().position(|(known, _)| *known == id)?;
        open.remove(at).map(|(_, scan)| scan)
    }

    fn keep(&self, scan: Open) -> u64 {
        let id = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut open = self.open.lock();
        if open.len() == OPEN {
            open.pop_front();
        }
        open.push_back((id, scan));
        id
    }
}

impl Admin {
    pub(crate) async fn keys(&self, request: &Request<'_>) -> Response {
        match self.page(request).await {
            Ok(page) => page,
            Err(error) => Response::error(502, &error.to_string()),
        }
    }

    async fn page(&self, request: &Request<'_>) -> Result<Response, Error> {
        let id = request.parameter("scan").and_then(|id| id.parse().ok());
        let mut open = match id {
            Some(id) => match self.scans.take(id) {
                Some(open) => open,
                None => return Ok(Response::error(410, "the scan has ended: search again")),
            },
            None => {
                let pattern = request.parameter("pattern").unwrap_or_default();
                let pattern = if pattern.is_empty() { "*".to_owned() } else { pattern };
                let scan = self.store.scan(&Pattern::new(pattern))?;
                Open { scan, rest: Vec::new(), scanned: 0 }
            }
        };
        let mut is_over = false;
        for _ in 0..STEPS {
            if open.rest.len() >= PAGE || is_over {
                break;
            }
            match open.scan.next().await? {
                Some(keys) => {
                    open.scanned += keys.len();
                    // Keys that are of no cache of this process aren't shown.
                    open.rest.extend(self.store.own_keys(keys));
                }
                None => is_over = true,
            }
        }
        let rest = open.rest.split_off(open.rest.len().min(PAGE));
        let shown = std::mem::replace(&mut open.rest, rest);
        let found: Vec<Inspection> =
            self.store.inspect(&shown).await?.into_iter().flatten().collect();
        let scanned = open.scanned;
        let next = (!is_over || !open.rest.is_empty()).then(|| self.scans.keep(open).to_string());
        Ok(Response::json(&json!({ "keys": found, "scan": next, "scanned": scanned })))
    }

    pub(crate) async fn key(&self, request: &Request<'_>) -> Response {
        let key = WireKey::from(request.parameter("key").unwrap_or_default().as_str());
        match self.one(&key).await {
            Ok(response) => response,
            Err(error) => Response::error(502, &error.to_string()),
        }
    }

    /// Explains a key as its cache finds it. Where several kinds of values have the same name, that is
    /// the one that can use the entry.
    async fn explained(&self, key: &WireKey) -> Result<Option<(ByteCache, Explanation)>, Error> {
        let mut found = None;
        for cache in self.store.caches_of(key) {
            let explained = cache.explain(Ok(key.clone().into()), &CallOptions::default()).await?;
            let is_usable = explained.verdict != Verdict::Miss;
            if found.is_none() || is_usable {
                found = Some((cache, explained));
            }
            if is_usable {
                break;
            }
        }
        Ok(found)
    }

    async fn one(&self, key: &WireKey) -> Result<Response, Error> {
        let keys = self.store.own_keys(vec![key.clone()]);
        let found = self.store.inspect(&keys).await?.into_iter().flatten().next();
        let mut shown = match &found {
            Some(found) => json!(found),
            None => json!({ "key": key.as_str() }),
        };
        shown["found"] = found.is_some().into();
        shown["tags"] = json!([]);
        shown["explanation"] = "No cache of this process has keys of this kind.".into();
        match self.explained(key).await {
            Ok(None) => {}
            Ok(Some((cache, explained))) => {
                shown["cache"] = cache.id().into();
                let name =
                    |tag: &TagInfo| tag.name.clone().unwrap_or_else(|| format!("#{}", tag.id));
                shown["tags"] = explained.tags.iter().map(name).collect::<Vec<_>>().into();
                shown["explanation"] = explained.to_string().into();
            }
            // A list or the like.
            Err(error) if error.kind() == ErrorKind::WrongType => {
                shown["explanation"] = format!("No call can use it: {error}.").into();
            }
            Err(error) => return Err(error),
        }
        let readable = found.filter(|found| {
            self.options.values
                && !matches!(found.state, EntryState::Absent | EntryState::Unreadable)
        });
        let value = match readable {
            Some(_) => match self.store.value_of(key).await {
                // A list or the like.
                Err(error) if error.kind() == ErrorKind::WrongType => None,
                value => value?,
            },
            None => None,
        };
        let text =
            |value: Bytes| String::from_utf8_lossy(&value[..value.len().min(SHOWN)]).into_owned();
        shown["value"] = value.map(text).into();
        Ok(Response::json(&shown))
    }
}
