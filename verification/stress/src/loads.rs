//! Calls that load, in the caller's task or apart from it.

use std::any::TypeId;
use std::sync::Arc;

use hotshelf_core::cache::{
    Begun, CallOptions, Decision, Ended, Filled, LoadTicket, Loaded, Refresh, RefreshMode,
    SharedError, Value, Waited,
};
use hotshelf_core::{Error, Key, TagId};

use crate::clock::{below, now, pause, up_to_millis};
use crate::history::{Kind, Record};
use crate::worker::{Worker, key_name, version};

/// The maximum pauses of a loader before and after it reads, in milliseconds.
const LOAD_MILLIS: u64 = 16;

/// One of this many loaders fails, with stale values.
const FAILURES: u64 = 8;

/// The last keys of the table have a tag that is known only from their rows.
const FIRST_LATE: usize = 4;
pub(crate) const LATE_TAG: &str = "late";

pub(crate) fn has_late_tag(key: usize) -> bool {
    key >= FIRST_LATE
}

fn version_of(value: Value) -> u64 {
    match value {
        Value::Present(value) => *value.downcast().expect("all values are versions"),
        Value::Absent => unreachable!("no loader finds nothing"),
    }
}

impl Worker {
    /// Reads the cache, or loads, like a service that handles a request. Returns `None` if the call
    /// ends with an error or a limit.
    pub(crate) async fn get(self: &Arc<Self>, key: usize) -> Result<Option<u64>, Error> {
        let apart = self.stale && below(2) == 0;
        let refresh = if apart { RefreshMode::Background } else { RefreshMode::Inline };
        let options = CallOptions::default().refresh(refresh);
        let entry_key = Ok(self.cache.key(&Key::new(key)));
        match self.cache.load(entry_key, options, TypeId::of::<()>()).await {
            Loaded::Value(value) => Ok(Some(version_of(value))),
            Loaded::Refresh(value, refresh) => {
                tokio::spawn(Arc::clone(self).refresh(key, *refresh));
                Ok(Some(version_of(value)))
            }
            Loaded::Lead(ticket) => self.lead(key, *ticket, apart).await,
            Loaded::Failed(_) | Loaded::BackingOff(_) | Loaded::TimedOut => Ok(None),
        }
    }

    /// Reads the keys without late tags, and loads those that are missing with one loader.
    pub(crate) async fn get_many(&self) -> Result<(), Error> {
        let start = now();
        let first = below(FIRST_LATE as u64) as usize;
        let keys: Vec<usize> = (0..FIRST_LATE).map(|key| (key + first) % FIRST_LATE).collect();
        let entries = keys.iter().map(|key| Ok(self.cache.key(&Key::new(*key)))).collect();
        let (options, errors) = (CallOptions::default(), TypeId::of::<()>());
        let mut batch = self.cache.load_many(entries, options, errors).await;
        while let Some(positions) = batch.next().await {
            let start = now();
            let loaded = batch.run(async {
                let mut versions = Vec::new();
                for position in &positions {
                    versions.push(self.query_database(keys[*position]).await?);
                }
                Ok::<_, Error>(versions)
            });
            let (loaded, end) = (loaded.await?, now());
            let fails = self.stale && below(FAILURES) == 0;
            let kind = if fails { Kind::LoadFailed } else { Kind::LoadedTogether };
            for (position, version) in positions.iter().zip(&loaded) {
                self.push(Record { kind, key: keys[*position], version: *version, start, end });
            }
            if fails {
                batch.fail(&(Arc::new(()) as SharedError)).await;
            } else {
                batch.complete(loaded.into_iter().map(|it| Value::Present(Arc::new(it)))).await;
            }
        }
        for (key, ended) in keys.into_iter().zip(batch.outcomes()) {
            let (kind, version) = match ended {
                Ended::Value(value) => (Kind::Get, version_of(value)),
                Ended::Failed(_) | Ended::BackingOff(_) | Ended::TimedOut => (Kind::Valueless, 0),
            };
            self.push(Record { kind, key, version, start, end: now() });
        }
        Ok(())
    }

    async fn refresh(self: Arc<Self>, key: usize, refresh: Refresh) -> Result<(), Error> {
        if let Begun::Lead(ticket) = refresh.begin().await {
            self.run(key, *ticket).await?;
        }
        Ok(())
    }

    /// Runs a loader for as long as the call is patient. Apart from it, the loader then goes on.
    async fn lead(
        self: &Arc<Self>,
        key: usize,
        ticket: LoadTicket,
        apart: bool,
    ) -> Result<Option<u64>, Error> {
        let timeouts = ticket.timeouts();
        let running = Box::pin(Arc::clone(self).run(key, ticket));
        let (waited, unfinished) = timeouts.wait(running).await;
        if let Some(unfinished) = unfinished.filter(|_| apart) {
            tokio::spawn(unfinished);
        }
        match waited {
            Waited::Done(loaded) => loaded,
            Waited::Stale(value) => Ok(Some(version_of(value))),
            Waited::TimedOut => Ok(None),
        }
    }

    async fn run(
        self: Arc<Self>,
        key: usize,
        mut ticket: LoadTicket,
    ) -> Result<Option<u64>, Error> {
        let start = now();
        let loaded = ticket.run(self.query_database(key)).await?;
        let end = now();
        let record = |kind| Record { kind, key, version: loaded, start, end };
        if self.stale && below(FAILURES) == 0 {
            let served = ticket.fail(&(Arc::new(()) as SharedError)).await;
            self.push(record(Kind::LoadFailed));
            return Ok(served.map(version_of));
        }
        if self.stale && has_late_tag(key) {
            let tags = Some(TagId::of(LATE_TAG).map(|tag| vec![tag]));
            ticket.decide(Decision { tags, ..Decision::default() });
        }
        self.push(record(match ticket.complete(Value::Present(Arc::new(loaded))).await {
            Filled::Stored => Kind::Stored,
            Filled::Refused => Kind::Refused,
            Filled::Unstored => Kind::Unstored,
        }));
        Ok(Some(loaded))
    }

    async fn query_database(&self, key: usize) -> Result<u64, Error> {
        pause(up_to_millis(LOAD_MILLIS)).await;
        let row = self.database.command(&["GET", &key_name(key)]).await?.bytes()?;
        pause(up_to_millis(LOAD_MILLIS)).await;
        Ok(row.as_deref().and_then(version).unwrap_or_default())
    }
}
