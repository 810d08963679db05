//! Spans of calls, at debug level. A subscriber that doesn't collect them costs a call nothing that
//! could be measured.

use tracing::field::Empty;
use tracing::{Level, Span, debug_span};

use super::ByteCache;
use super::call::CallOptions;
use super::entry_key::EntryKey;
use super::trace::{Source, Trace};
use crate::error::Error;

/// The span of a call that reads a key, and what that notes for it.
pub(super) struct CallSpan {
    pub(super) span: Span,
    trace: Trace,
    /// The tier in the memory of the process.
    local: &'static str,
}

impl ByteCache {
    /// Returns the span of a call that reads a key, if it is collected and the call has none yet.
    #[inline]
    pub(super) fn get_span(
        &self,
        key: &Result<EntryKey, Error>,
        options: &CallOptions,
    ) -> Option<Box<CallSpan>> {
        match tracing::level_enabled!(Level::DEBUG) && !options.in_span {
            true => self.new_get_span(key),
            false => None,
        }
    }

    #[cold]
    fn new_get_span(&self, key: &Result<EntryKey, Error>) -> Option<Box<CallSpan>> {
        let span = debug_span!(
            "cache.get",
            cache.name = self.context.namespace.name(),
            cache.hit = Empty,
            cache.tier = Empty,
            cache.stale = Empty,
            cache.key = Empty,
        );
        if span.is_disabled() {
            return None;
        }
        if let Ok(key) = key
            && tracing::enabled!(Level::TRACE)
        {
            span.record("cache.key", key.wire.digest());
        }
        let local = match self.engine.gate.has_near_tier(&self.context) {
            true => "near",
            false => "memory",
        };
        Some(Box::new(CallSpan { span, trace: Trace::default(), local }))
    }

    /// Returns the span of a call that reads many keys.
    pub(super) fn get_many_span(&self, keys: usize) -> Span {
        let name = self.context.namespace.name();
        debug_span!("cache.get", cache.name = name, cache.keys = keys, cache.hits = Empty)
    }

    /// Returns the span of a loader of some keys. It ends with the loader.
    pub(super) fn load_span(&self, keys: usize) -> Span {
        let name = self.context.namespace.name();
        debug_span!("cache.load", cache.name = name, cache.keys = keys)
    }

    /// Returns the span of a call that stores values.
    pub(super) fn put_span(&self, keys: usize) -> Span {
        let name = self.context.namespace.name();
        debug_span!("cache.put", cache.name = name, cache.keys = keys)
    }
}

impl CallSpan {
    /// Returns options with which a call notes what the span records.
    pub(super) fn options(&mut self, mut options: CallOptions) -> CallOptions {
        options.in_span = true;
        match options.trace() {
            Some(trace) => {
                self.trace = trace.clone();
                options
            }
            None => options.traced(self.trace.clone()),
        }
    }

    /// Records what the call has found.
    pub(super) fn record(&self) {
        let outcome = self.trace.outcome();
        let tier = match outcome.source {
            Source::Local => Some(self.local),
            Source::Server => Some("backend"),
            Source::None | Source::OtherCall | Source::Loader => None,
        };
        self.span.record("cache.hit", outcome.is_hit()).record("cache.stale", outcome.is_stale);
        if let Some(tier) = tier {
            self.span.record("cache.tier", tier);
        }
    }
}
