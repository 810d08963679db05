//! The names of leases.
//!
//! A lease is always in the same Cluster slot as its key, since scripts access both. Redis
//! hashes the text between the first `{` and the next `}` if it is not empty, otherwise the
//! whole key. So the lease of `K` is
//!
//! 1. `hs:l:{h}:K` if `K` has a hash tag `{h}` of its own,
//! 2. `hs:l:{K}` if `K` is not empty and contains no `}`,
//! 3. `hs:l:{s}:K` otherwise, with a short text `s` of the same slot.

use std::fmt::Write;
use std::sync::OnceLock;

use hotshelf_core::WireKey;
use hotshelf_wire::{SLOTS, hash_tag, slot};

/// The prefix of all leases.
pub const LEASE_PREFIX: &str = "hs:l:";

/// Returns the name of a key's lease.
///
/// A tool may read it: it exists while the key is loaded, or a mark stands in its place.
#[must_use]
pub fn lease(key: &WireKey) -> String {
    let key = key.as_str();
    if let Some(tag) = hash_tag(key.as_bytes()) {
        return format!("{LEASE_PREFIX}{{{}}}:{key}", String::from_utf8_lossy(tag));
    }
    if !key.is_empty() && !key.contains('}') {
        // The usual case, in one allocation.
        return [LEASE_PREFIX, "{", key, "}"].concat();
    }
    format!("{LEASE_PREFIX}{{{}}}:{key}", text_of_slot(slot(key.as_bytes())))
}

/// Returns the name under which a fill's value is set before it is stored, from the name of its
/// lease. It is in the same slot, and unique to the fill.
pub(crate) fn temporary(lease: &str, token: &[u8; 16]) -> String {
    let mut name = String::with_capacity(lease.len() + 1 + 16);
    name.push_str(lease);
    name.push('!');
    for byte in &token[..8] {
        // Writing to a string can't fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// Returns the key whose lease has this name; `None` if it is not the name of a lease.
pub(crate) fn key_of_lease(name: &str) -> Option<WireKey> {
    let rest = name.strip_prefix(LEASE_PREFIX)?.strip_prefix('{')?;
    let (tag, key) = rest.split_once('}')?;
    match key.strip_prefix(':') {
        Some(key) => Some(key.into()),
        None => key.is_empty().then(|| tag.into()),
    }
}

/// Returns the first of the texts `0`, `1`, `2` … in a slot.
///
/// All processes must agree on it. Few keys need it: the table of all slots is computed on
/// first use.
fn text_of_slot(slot: u16) -> u32 {
    static TEXTS: OnceLock<Vec<u32>> = OnceLock::new();
    TEXTS.get_or_init(texts_of_slots)[usize::from(slot)]
}

fn texts_of_slots() -> Vec<u32> {
    let mut texts = vec![None; usize::from(SLOTS)];
    let mut missing = texts.len();
    for number in 0.. {
        let text = &mut texts[usize::from(slot(u32::to_string(&number).as_bytes()))];
        if text.is_none() {
            *text = Some(number);
            missing -= 1;
        }
        if missing == 0 {
            break;
        }
    }
    texts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(key: &str) -> String {
        lease(&key.into())
    }

    fn slot_of(key: &str) -> u16 {
        slot(key.as_bytes())
    }

    #[test]
    fn lease_names_follow_the_rule() {
        assert_eq!(name("cache:v1:users:1"), "hs:l:{cache:v1:users:1}");
        assert_eq!(name("a{b"), "hs:l:{a{b}");
        assert_eq!(name("{user1}:cart"), "hs:l:{user1}:{user1}:cart");
        assert_eq!(slot_of(&name("")), slot_of(""));
        assert_eq!(slot_of(&name("a}b")), slot_of("a}b"));
        assert_eq!(slot_of(&name("{}x")), slot_of("{}x"));
    }

    #[test]
    fn every_slot_has_a_text() {
        let texts = texts_of_slots();
        assert_eq!(texts.len(), usize::from(SLOTS));
        assert!((0..SLOTS).all(|slot| slot_of(&texts[usize::from(slot)].to_string()) == slot));
    }

    proptest! {
        #[test]
        fn lease_is_in_slot_of_key(key in "[a-b{}:é]{0,9}") {
            prop_assert_eq!(slot_of(&name(&key)), slot_of(&key));
        }

        #[test]
        fn temporary_name_is_in_slot_of_key(key in "[a-b{}:é]{0,9}") {
            let name = temporary(&name(&key), &[7; 16]);
            prop_assert_eq!(slot_of(&name), slot_of(&key));
        }

        #[test]
        fn lease_name_contains_key(key in "[a-b{}:é]{0,9}") {
            prop_assert_eq!(key_of_lease(&name(&key)), Some(key.as_str().into()));
        }
    }
}
