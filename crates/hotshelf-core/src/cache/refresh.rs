//! Loading a value anew while it is served.

use std::time::Duration;

use super::ByteCache;
use super::load::Wanted;
use super::load_ticket::LoadTicket;
use crate::engine::{self, Asked, Call, Claim, Stale, Value};
use crate::stats::Counter;

/// The right and the duty to load a value anew that is served meanwhile. At most one for a key in
/// each process.
#[derive(Debug)]
#[must_use = "nothing refreshes the value for a second if this is dropped"]
pub struct Refresh {
    pub(super) cache: ByteCache,
    pub(super) wanted: Wanted,
    /// The entry.
    pub(super) stale: Stale,
    pub(super) claim: Claim,
}

/// How a refresh begins.
#[derive(Debug)]
pub enum Begun {
    /// The right and the duty to load.
    Lead(Box<LoadTicket>),
    /// Another process has just loaded this value.
    Found(Value),
    /// Another process loads it, or it can't be loaded at present: it is tried again later.
    Later,
}

impl Refresh {
    /// Requests the right to load, without waiting for it.
    ///
    /// Costs one round trip, or more if another process has stored a value meanwhile.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn begin(self) -> Begun {
        let Self { cache, wanted, stale, mut claim } = self;
        let call = Call { backs_off: true, ..cache.call_for(&wanted) };
        match engine::ask(call, &cache.engine, stale.seen.clone()).await {
            Asked::Lead(ticket, newer) => {
                let stale = newer.map_or(stale, |newer| *newer);
                cache.count(Counter::Refresh);
                let ticket = LoadTicket::new(cache.clone(), ticket, wanted.options);
                Begun::Lead(Box::new(ticket.with_fallback(Some(stale), Some(claim))))
            }
            Asked::Found(value) => {
                claim.pause(Duration::ZERO);
                Begun::Found(value)
            }
            Asked::Later(pause) => {
                claim.pause(pause);
                Begun::Later
            }
        }
    }
}
