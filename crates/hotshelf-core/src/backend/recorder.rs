//! A backend for unit tests that records its operations.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Acquire, Acquired, Backend, Fill, Pause, Result, Retrail, ServerInfo, Stored, TagVersion, Take,
    Taken, Token, Watch, Watchers,
};
use crate::key::{Pattern, WireKey};
use crate::runtime::BoxFuture;
use crate::sync::Mutex;
use crate::ttl::{Remaining, Ttl};

/// Records the operations that reach it.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<&'static str>>);

impl Recorder {
    pub(crate) fn push(&self, name: &'static str) {
        self.0.lock().push(name);
    }

    fn answer<T: Send + 'static>(&self, name: &'static str, answer: T) -> BoxFuture<'_, T> {
        Box::pin(async move {
            self.push(name);
            answer
        })
    }

    pub(crate) fn recorded(&self) -> Vec<&'static str> {
        self.0.lock().clone()
    }
}

impl Backend for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        self.answer("read", Ok(vec![None; keys.len()]))
    }

    fn acquire<'a>(&'a self, _: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        self.answer("acquire", Ok(Acquired::Granted(0)))
    }

    fn acquire_many<'a>(
        &'a self,
        acquires: &'a [Acquire<'a>],
    ) -> BoxFuture<'a, Vec<Result<Acquired>>> {
        self.answer("acquire_many", acquires.iter().map(|_| Ok(Acquired::Granted(0))).collect())
    }

    fn take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>> {
        self.answer("take", takes.iter().map(|_| Ok(Taken::Granted(1))).collect())
    }

    fn store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        self.answer("store", fills.iter().map(|_| Ok(Stored::Stored)).collect())
    }

    fn release<'a>(&'a self, _: &'a WireKey, _: Token) -> BoxFuture<'a, Result<()>> {
        self.answer("release", Ok(()))
    }

    fn fail<'a>(&'a self, _: &'a WireKey, _: Token, _: Pause) -> BoxFuture<'a, Result<()>> {
        self.answer("fail", Ok(()))
    }

    fn renew<'a>(&'a self, _: &'a WireKey, _: Token, _: Duration) -> BoxFuture<'a, Result<bool>> {
        self.answer("renew", Ok(true))
    }

    fn capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        _: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>> {
        self.answer("capture", Ok(vec![[0; 6]; tags.len()]))
    }

    fn capture_with_age<'a>(
        &'a self,
        tags: &'a [WireKey],
        _: Ttl,
    ) -> BoxFuture<'a, Result<Vec<(TagVersion, Duration)>>> {
        self.answer("capture_with_age", Ok(vec![([0; 6], Duration::ZERO); tags.len()]))
    }

    fn retrail<'a>(&'a self, _: &'a WireKey, _: Retrail) -> BoxFuture<'a, Result<bool>> {
        self.answer("retrail", Ok(true))
    }

    fn hold<'a>(&'a self, _: &'a [WireKey], _: Duration) -> BoxFuture<'a, Result<u64>> {
        self.answer("hold", Ok(0))
    }

    fn clock(&self, _: &WireKey) -> Option<u64> {
        self.push("clock");
        Some(0)
    }

    fn invalidate<'a>(&'a self, _: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        self.answer("invalidate", Ok(0))
    }

    fn invalidate_tags<'a>(&'a self, _: &'a [WireKey]) -> BoxFuture<'a, Result<()>> {
        self.answer("invalidate_tags", Ok(()))
    }

    fn invalidate_matching<'a>(&'a self, _: &'a Pattern) -> BoxFuture<'a, Result<u64>> {
        self.answer("invalidate_matching", Ok(0))
    }

    fn remaining<'a>(&'a self, _: &'a WireKey) -> BoxFuture<'a, Result<Remaining>> {
        self.answer("remaining", Ok(Remaining::Missing))
    }

    fn watch(&self, key: &WireKey) -> Option<Watch> {
        self.push("watch");
        Some(Watchers::default().watch(key))
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        self.answer("ping", Ok(()))
    }

    fn info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        self.answer("info", Ok(ServerInfo::default()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.answer("close", ())
    }
}
