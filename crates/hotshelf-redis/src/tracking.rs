//! What servers tell of changes to keys.

use bytes::Bytes;
use hotshelf_core::WireKey;
use hotshelf_core::backend::Watchers;
use hotshelf_wire::resp::Value;

use crate::connection::Listener;
use crate::names;

/// Tells those who wait for a key when its entry or its lease has changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    pub(crate) watchers: Watchers,
}

impl Listener for Changes {
    /// `invalidate`, and the keys that have changed, or nothing if all have.
    fn heard(&self, push: Vec<Value>) {
        match &push[..] {
            [kind, Value::Array(keys)] if kind.text() == Some("invalidate") => {
                keys.iter().filter_map(key).for_each(|key| self.watchers.changed(&key));
            }
            [kind, Value::Nil] if kind.text() == Some("invalidate") => self.watchers.lost_sight(),
            _ => {}
        }
    }

    fn ended(&self) {
        self.watchers.lost_sight();
    }
}

/// Gives the key whose entry or lease has this name.
fn key(name: &Value) -> Option<WireKey> {
    let Value::Bulk(name) = name else { return None };
    text(name).map(|name| names::key_of_lease(name).unwrap_or_else(|| name.into()))
}

/// Keys that are no UTF-8 are none of ours.
fn text(name: &Bytes) -> Option<&str> {
    std::str::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_change_of_an_entry_or_of_a_lease_is_told() {
        let changes = Changes::default();
        let key = WireKey::from("cache:v1:a:1");
        for name in [key.as_str().to_owned(), names::lease(&key)] {
            let (watch, other) =
                (changes.watchers.watch(&key), changes.watchers.watch(&"b".into()));
            changes.heard(vec![bulk("invalidate"), Value::Array(vec![bulk("x"), bulk(&name)])]);
            assert_eq!(watch.now_or_never(), Some(()), "{name}");
            assert_eq!(other.now_or_never(), None);
        }
    }

    #[test]
    fn all_are_told_when_all_may_have_changed() {
        let changes = Changes::default();
        let watch = changes.watchers.watch(&"a".into());
        changes.heard(vec![bulk("invalidate"), Value::Nil]);
        assert_eq!(watch.now_or_never(), Some(()));
        let watch = changes.watchers.watch(&"a".into());
        changes.ended();
        assert_eq!(watch.now_or_never(), Some(()));
    }

    #[test]
    fn other_pushes_mean_nothing() {
        let changes = Changes::default();
        let watch = changes.watchers.watch(&"a".into());
        changes.heard(vec![]);
        changes.heard(vec![bulk("message"), bulk("a"), bulk("a")]);
        changes.heard(vec![bulk("invalidate"), bulk("a")]);
        assert_eq!(watch.now_or_never(), None);
    }
}
