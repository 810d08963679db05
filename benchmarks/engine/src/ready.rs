//! A backend that has the entry at hand.

use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{
    Acquire, Acquired, Fill, Result, Stored, TagVersion, Take, Taken, Token,
};
use hotshelf_core::{Backend, BoxFuture, Pattern, Remaining, ServerInfo, Ttl, WireKey};

/// Answers every read with the same entry, at once, and has nothing else to say.
#[derive(Debug)]
pub(crate) struct Ready {
    entry: Bytes,
}

impl Ready {
    pub(crate) fn new(entry: Bytes) -> Self {
        Self { entry }
    }
}

fn ready<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    Box::pin(std::future::ready(value))
}

impl Backend for Ready {
    fn name(&self) -> &'static str {
        "ready"
    }

    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        ready(Ok(keys.iter().map(|_| Some(self.entry.clone())).collect()))
    }

    fn acquire<'a>(&'a self, _: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        ready(Ok(Acquired::Present(self.entry.clone())))
    }

    fn take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>> {
        ready(takes.iter().map(|_| Ok(Taken::Held)).collect())
    }

    fn store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        ready(fills.iter().map(|_| Ok(Stored::Refused)).collect())
    }

    fn release<'a>(&'a self, _: &'a WireKey, _: Token) -> BoxFuture<'a, Result<()>> {
        ready(Ok(()))
    }

    fn renew<'a>(&'a self, _: &'a WireKey, _: Token, _: Duration) -> BoxFuture<'a, Result<bool>> {
        ready(Ok(false))
    }

    fn capture<'a>(&'a self, _: &'a [WireKey], _: Ttl) -> BoxFuture<'a, Result<Vec<TagVersion>>> {
        ready(Ok(Vec::new()))
    }

    fn invalidate<'a>(&'a self, _: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        ready(Ok(0))
    }

    fn invalidate_tags<'a>(&'a self, _: &'a [WireKey]) -> BoxFuture<'a, Result<()>> {
        ready(Ok(()))
    }

    fn invalidate_matching<'a>(&'a self, _: &'a Pattern) -> BoxFuture<'a, Result<u64>> {
        ready(Ok(0))
    }

    fn remaining<'a>(&'a self, _: &'a WireKey) -> BoxFuture<'a, Result<Remaining>> {
        ready(Ok(Remaining::Missing))
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        ready(Ok(()))
    }

    fn info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        ready(Ok(ServerInfo::default()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        ready(())
    }
}
