//! Who has removed what, and when.

use std::collections::VecDeque;

use hotshelf_core::sync::Mutex;
use serde_json::json;

use crate::http::Response;

/// The number of entries that are kept.
const KEPT: usize = 200;

/// What visitors have done, newest first.
#[derive(Default)]
pub(crate) struct Log(Mutex<VecDeque<Entry>>);

struct Entry {
    at: f64,
    who: String,
    what: String,
    outcome: String,
}

impl Log {
    pub(crate) fn add(&self, at: f64, who: &str, what: &str, outcome: &str) {
        let [who, what, outcome] = [who, what, outcome].map(str::to_owned);
        let mut entries = self.0.lock();
        entries.truncate(KEPT - 1);
        entries.push_front(Entry { at, who, what, outcome });
    }

    pub(crate) fn entries(&self, now: f64) -> Response {
        let entries = self.0.lock();
        let shown = |Entry { at, who, what, outcome }: &Entry| json!({ "age": now - at, "who": who, "what": what, "outcome": outcome });
        let shown: Vec<_> = entries.iter().map(shown).collect();
        Response::json(&json!({ "entries": shown }))
    }
}
