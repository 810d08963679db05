//! Key changes reported by the servers.

use std::sync::{Arc, OnceLock};

use hotshelf_core::WireKey;
use hotshelf_core::backend::Watchers;
use hotshelf_core::near::NearTier;
use hotshelf_wire::resp::Value;

use crate::connection::Listener;
use crate::names;

/// Wakes the watchers of a key when its entry or its lease has changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    pub(super) watchers: Watchers,
    near: Arc<OnceLock<Arc<NearTier>>>,
}

impl Changes {
    /// Reports changes to a near tier, too. Returns `false` if there is one.
    pub(super) fn report_to(&self, near: &Arc<NearTier>) -> bool {
        self.near.set(Arc::clone(near)).is_ok()
    }

    pub(super) fn near(&self) -> Option<&Arc<NearTier>> {
        self.near.get()
    }

    fn changed(&self, name: &Value) {
        let Some((key, is_lease)) = key(name) else { return };
        if let Some(near) = self.near.get().filter(|_| !is_lease) {
            near.changed(&key);
        }
        self.watchers.changed(&key);
    }
}

impl Listener for Changes {
    /// Receives `invalidate` with the changed keys, or with null if all keys may have changed.
    fn on_push(&self, push: Vec<Value>) -> bool {
        match &push[..] {
            [kind, Value::Array(keys)] if kind.text() == Some("invalidate") => {
                keys.iter().for_each(|name| self.changed(name));
            }
            [kind, Value::Nil] if kind.text() == Some("invalidate") => {
                self.near.get().into_iter().for_each(|near| near.flush());
                self.watchers.wake_all();
            }
            _ => {}
        }
        !push.first().and_then(Value::text).is_some_and(is_subscription)
    }

    fn near(&self) -> Option<&Arc<NearTier>> {
        self.near.get()
    }

    fn on_close(&self) {
        self.watchers.wake_all();
    }
}

/// Returns `true` for a message, or the confirmation of a subscription.
fn is_subscription(kind: &str) -> bool {
    kind.ends_with("message") || kind.ends_with("subscribe")
}

/// Returns the key whose entry or lease has this name, and whether it is the lease; `None` if it is not valid UTF-8, and so
/// not hotshelf's.
fn key(name: &Value) -> Option<(WireKey, bool)> {
    let Value::Bulk(name) = name else { return None };
    let name = std::str::from_utf8(name).ok()?;
    Some(match names::key_of_lease(name) {
        Some(key) => (key, true),
        None => (name.into(), false),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn entry_and_lease_changes_wake_watchers() {
        let changes = Changes::default();
        let key = WireKey::from("cache:v1:a:1");
        for name in [key.as_str().to_owned(), names::lease(&key)] {
            let (watch, other) =
                (changes.watchers.watch(&key), changes.watchers.watch(&"b".into()));
            changes.on_push(vec![bulk("invalidate"), Value::Array(vec![bulk("x"), bulk(&name)])]);
            assert_eq!(watch.now_or_never(), Some(()), "{name}");
            assert_eq!(other.now_or_never(), None);
        }
    }

    #[test]
    fn unknown_changes_wake_all_watchers() {
        let changes = Changes::default();
        let watch = changes.watchers.watch(&"a".into());
        changes.on_push(vec![bulk("invalidate"), Value::Nil]);
        assert_eq!(watch.now_or_never(), Some(()));
        let watch = changes.watchers.watch(&"a".into());
        changes.on_close();
        assert_eq!(watch.now_or_never(), Some(()));
    }

    #[test]
    fn only_subscriptions_are_unexpected() {
        let changes = Changes::default();
        let watch = changes.watchers.watch(&"a".into());
        assert!(changes.on_push(vec![]));
        assert!(changes.on_push(vec![bulk("invalidate"), bulk("a")]));
        assert!(changes.on_push(vec![bulk("MOVING"), bulk("a")]));
        assert_eq!(watch.now_or_never(), None);
        for kind in ["message", "smessage", "subscribe", "punsubscribe"] {
            assert!(!changes.on_push(vec![bulk(kind), bulk("a"), bulk("a")]));
        }
    }
}
