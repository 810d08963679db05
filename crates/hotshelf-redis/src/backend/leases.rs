//! Leases: acquiring, taking over, renewing and ending them.

use std::time::Duration;

use hotshelf_core::backend::{Acquire, Acquired, Pause, Result, Seen, Take, Taken, Token};
use hotshelf_core::trailer::MAGIC;
use hotshelf_core::{Error, WireKey};
use hotshelf_wire::resp::Value;

use super::{RedisBackend, scripts};
use crate::client::{Reply, ScriptCall};
use crate::errors::unexpected_reply;
use crate::names;

impl RedisBackend {
    /// Asks for leases in one round trip.
    pub(super) async fn acquire_now(&self, acquires: &[Acquire<'_>]) -> Vec<Result<Acquired>> {
        let replies = self.run_each(acquires, acquire, self.client.read_timeout).await;
        replies.into_iter().map(acquired).collect()
    }

    pub(super) async fn take_now(&self, takes: &[Take]) -> Vec<Result<Taken>> {
        let call = |take: &Take| {
            let call = scripts::TAKE.call(&[names::lease(&take.key)]).reads_clock(clock_of_take);
            call.arg(lease_value(take.token)).millis(take.lease)
        };
        let taken = |reply: Reply| match reply.integer()? {
            0 => Ok(Taken::Held),
            millis => Ok(Taken::Granted(u64::try_from(millis).unwrap_or_default())),
        };
        self.run_each(takes, call, self.client.store_timeout).await.into_iter().map(taken).collect()
    }

    pub(super) async fn release_now(&self, key: &WireKey, token: Token) -> Result<()> {
        let call = scripts::RELEASE.call(&[names::lease(key)]).arg(lease_value(token));
        self.run_call(call, self.client.store_timeout).await.ok().map(drop)
    }

    pub(super) async fn fail_now(&self, key: &WireKey, token: Token, pause: Pause) -> Result<()> {
        let lease = names::lease(key);
        let call = scripts::FAIL.call(&[key.as_bytes(), lease.as_bytes()]);
        let call = call.arg(lease_value(token));
        let call = call.millis_or_zero(pause.with_entry).millis_or_zero(pause.without_entry);
        self.run_call(call, self.client.store_timeout).await.ok().map(drop)
    }

    pub(super) async fn renew_now(
        &self,
        key: &WireKey,
        token: Token,
        lease: Duration,
    ) -> Result<bool> {
        let call = scripts::RENEW.call(&[names::lease(key)]);
        let call = call.arg(lease_value(token)).millis(lease);
        let reply = self.run_call(call, self.client.store_timeout).await.ok()?;
        Ok(reply.integer()? == 1)
    }
}

fn acquire(acquire: &Acquire<'_>) -> ScriptCall<'static> {
    let lease = names::lease(acquire.key);
    let seen = match &acquire.seen {
        Seen::Nothing => Vec::new(),
        Seen::Suffix(suffix) => [b"=", &suffix[..]].concat(),
    };
    scripts::ACQUIRE
        .call(&[acquire.key.as_bytes(), lease.as_bytes()])
        .tracked()
        .reads_clock(clock_of_acquire)
        .arg(lease_value(acquire.token))
        .millis(acquire.lease)
        .arg(seen)
        .arg(if acquire.skip_foreign { &MAGIC[..] } else { b"" })
        .arg(if acquire.replace_failure { &b"1"[..] } else { b"" })
}

fn acquired(reply: Reply) -> Result<Acquired> {
    let [code, value]: [Reply; 2] =
        reply.array()?.try_into().map_err(|_| unexpected_reply("ACQUIRE"))?;
    let left = |value: Reply| {
        let millis = u64::try_from(value.integer()?).unwrap_or_default();
        Ok::<_, Error>(Duration::from_millis(millis))
    };
    match code.integer()? {
        0 => Ok(Acquired::Busy(left(value)?)),
        1 => Ok(Acquired::Granted(u64::try_from(value.integer()?).unwrap_or_default())),
        5 => Ok(Acquired::GrantedOver(u64::try_from(value.integer()?).unwrap_or_default())),
        2 => Ok(Acquired::Present(value.bytes()?.unwrap_or_default())),
        3 => Ok(Acquired::Held(left(value)?)),
        4 => Ok(Acquired::BackingOff(left(value)?)),
        _ => Err(unexpected_reply("ACQUIRE")),
    }
}

/// Reads the server's clock in milliseconds from the answer to ACQUIRE.
fn clock_of_acquire(answer: &Value) -> Option<u64> {
    match answer {
        Value::Array(parts) => match parts[..] {
            [Value::Integer(1 | 5), Value::Integer(millis)] => u64::try_from(millis).ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Reads the server's clock in milliseconds from the answer to TAKE.
fn clock_of_take(answer: &Value) -> Option<u64> {
    match *answer {
        Value::Integer(millis @ 1..) => u64::try_from(millis).ok(),
        _ => None,
    }
}

/// What stands in the place of the lease of a key, for tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseState {
    /// The key is being loaded, by the fill with this id.
    Load([u8; 5]),
    /// The key is on hold after an invalidation: nothing is stored.
    Hold,
    /// A load has failed, and isn't repeated for now.
    Failed,
    /// A newer release wrote it.
    Unknown,
}

impl LeaseState {
    /// Reads what stands in the place of a lease.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        match value {
            [b't', b':', fill @ ..] if fill.len() == 16 => {
                Self::Load([fill[0], fill[1], fill[2], fill[3], fill[4]])
            }
            [b'H', b':', ..] => Self::Hold,
            [b'E', b':', ..] => Self::Failed,
            _ => Self::Unknown,
        }
    }
}

/// Returns the value of a lease that a token holds. Its prefix distinguishes it from a hold
/// ([`hold_mark`]) and a failed load (`E:`); see [`LeaseState`].
pub(super) fn lease_value(token: Token) -> [u8; 18] {
    let mut value = *b"t:................";
    value[2..].copy_from_slice(token.as_bytes());
    value
}

/// Returns the mark of a held key.
pub(super) fn hold_mark(unique: &[u8]) -> Vec<u8> {
    [&b"H:"[..], unique].concat()
}
