//! Reads of what is in the memory of this process: without waiting.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};

use super::call::{CallOptions, Mode};
use super::{ByteCache, EntryKey};
use crate::engine::{ReadOutcome, Value};
use crate::error::Error;
use crate::key::WireKey;
use crate::runtime::Moment;
use crate::tag::Tags;

impl ByteCache {
    /// Returns `true` if entries may be in the memory of this process: in that of the backend,
    /// or in the near tier.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.engine.gate.local(&self.context).is_some()
    }

    /// Returns when the token of a call was first presented to this process, if it has one.
    fn presented(&self, call: &CallOptions) -> Option<Moment> {
        call.token().and_then(|token| self.engine.gate.presented(&self.context, token))
    }

    /// Reads an entry in the memory of this process at once, for callers that aren't async, and
    /// counts a hit. Returns `None`, and counts nothing, if it has no value for the call:
    /// [`read`](Self::read) or [`load`](Self::load) then find out why.
    pub fn read_now(&self, key: &EntryKey, call: &CallOptions) -> Option<Value> {
        let reads = call.mode == Mode::Use && call.tags_into().is_none();
        if !reads || !self.is_enabled() || !self.is_local() {
            return None;
        }
        let tags = call.tags_in(&self.context, Some(key)).ok()?;
        let Self { engine, context } = self;
        let after = self.presented(call);
        match engine.read_local(
            context,
            &key.wire,
            &tags,
            call.takes_absent,
            after,
            call.trace(),
        )? {
            // One that isn't fresh has to be loaded anew.
            Ok(ReadOutcome::Stale(_)) => None,
            Ok(ReadOutcome::Hit(value)) => {
                self.count_hit(&key.wire, &value, true);
                Some(value)
            }
            Ok(ReadOutcome::Miss(_)) | Err(_) => None,
        }
    }

    /// Reads what is in the memory of this process, and counts nothing. Returns `None` if the backend
    /// has to be asked. A task that reads again and again lets others run now and then.
    pub(super) async fn read_local(
        &self,
        key: &WireKey,
        tags: &Tags,
        takes_absent: bool,
        call: &CallOptions,
    ) -> Option<Result<ReadOutcome, Error>> {
        let Self { engine, context } = self;
        engine.gate.local(context)?;
        poll_fn(|polling| {
            ready!(engine.runtime.poll_share(polling));
            let after = self.presented(call);
            Poll::Ready(engine.read_local(context, key, tags, takes_absent, after, call.trace()))
        })
        .await
    }

    /// Reads keys like [`ByteCache::read_local`]; `None` if the backend has to be asked for one
    /// of them.
    pub(super) async fn read_many_locally(
        &self,
        keys: &[WireKey],
        tags: &[Arc<Tags>],
        call: &CallOptions,
    ) -> Option<Result<Vec<ReadOutcome>, Error>> {
        let mut read = Vec::new();
        for (key, tags) in keys.iter().zip(tags) {
            match self.read_local(key, tags, call.takes_absent, call).await? {
                Ok(outcome) => read.push(outcome),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(read))
    }
}
