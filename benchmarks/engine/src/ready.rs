//! A backend that always has the entry.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{Layer, Result};
use hotshelf_core::{Backend, BoxFuture, Error, ErrorKind, WireKey};

/// Answers every read immediately with the same entry. Other operations fail.
#[derive(Debug)]
pub(crate) struct Ready {
    entry: Bytes,
}

impl Ready {
    pub(crate) fn new(entry: Bytes) -> Self {
        Self { entry }
    }
}

impl Layer for Ready {
    type Inner = dyn Backend;

    fn inner(&self) -> Result<impl Deref<Target = dyn Backend> + Send> {
        let error = Error::new(ErrorKind::Unsupported, "only reads are supported");
        Err::<Arc<dyn Backend>, _>(error)
    }

    fn on_name(&self) -> &'static str {
        "ready"
    }

    fn on_longest_read(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    fn on_read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        let entries = keys.iter().map(|_| Some(self.entry.clone())).collect();
        Box::pin(std::future::ready(Ok(entries)))
    }
}
