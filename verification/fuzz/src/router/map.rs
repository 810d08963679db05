//! Reading the replies of nodes and Sentinels.

use bytes::BytesMut;
use hotshelf_wire::cluster::SlotMap;
use hotshelf_wire::resp::{Decoder, Value};
use hotshelf_wire::sentinel::{Sentinels, is_primary};
use hotshelf_wire::{Endpoint, SLOTS};

use super::redirect::can_be_reached;
use crate::input::Input;

/// The hosts of the generated maps; some are unusable.
const HOSTS: [&str; 6] = ["a", "b", "c", "", "?", "[fe80::1]"];

/// The most Sentinels that are kept.
const MOST_SENTINELS: usize = 64;

/// Reads arbitrary values as maps of slots and as replies of Sentinels.
pub(super) fn any(bytes: &[u8]) {
    let (mut decoder, mut bytes) = (Decoder::default(), BytesMut::from(bytes));
    let mut replies = Vec::new();
    while let Ok(Some(reply)) = decoder.decode(&mut bytes) {
        replies.push(reply);
    }
    let sender = Endpoint::new("sender", 1);
    for reply in &replies {
        let _is_asked_of_sentinels = is_primary(reply);
        for tls in [false, true] {
            if let Ok(map) = SlotMap::read(reply, &sender, tls) {
                check(&map);
            }
        }
    }
    let mut sentinels = Sentinels::new("service".into(), vec![sender.clone()]);
    let primary = sentinels.answered(&sender, &replies);
    assert!(primary.as_ref().is_none_or(can_be_reached), "{primary:?}");
    assert!(sentinels.endpoints().len() <= MOST_SENTINELS && sentinels.endpoints()[0] == sender);
    assert!(sentinels.endpoints().iter().all(can_be_reached), "{sentinels:?}");
}

/// A map names at least one slot, and only reachable owners.
pub(super) fn check(map: &SlotMap) {
    assert!((0..SLOTS).any(|slot| map.owner(slot).is_some()), "{map:?} names no slot");
    let mut owners = some_slots().filter_map(|slot| map.owner(slot));
    assert!(owners.all(|owner| map.primaries().contains(owner)), "{map:?}");
    assert!([SLOTS, SLOTS + 1, u16::MAX].iter().all(|slot| map.owner(*slot).is_none()), "{map:?}");
    assert!(map.primaries().iter().all(can_be_reached), "{map:?}");
}

/// A sample of the slots. To check all of them takes ten times as long as the rest.
pub(super) fn some_slots() -> impl Iterator<Item = u16> {
    (0..SLOTS).step_by(127).chain([SLOTS - 1])
}

/// The owner of a slot is that of the last range of `CLUSTER SLOTS` that contains it.
pub(super) fn of_slots(mut input: Input<'_>) {
    let sender = Endpoint::new("sender", 1);
    let (mut entries, mut ranges) = (Vec::new(), Vec::new());
    while !input.0.is_empty() {
        let (first, last) = (input.number(), input.number());
        let (host, port) = (input.choice(&HOSTS), u16::from(input.small() % 4));
        entries.push(range(first, last, host, port));
        if first <= last && last < SLOTS && port > 0 && host != "?" {
            let name = if host.is_empty() { "sender" } else { host.trim_matches(['[', ']']) };
            ranges.push((first..=last, Endpoint::new(name, port)));
        }
    }
    let read = SlotMap::read(&Value::Array(entries), &sender, false);
    let owner = |slot| ranges.iter().rev().find(|(range, _)| range.contains(&slot));
    let ends = ranges.iter().flat_map(|(range, _)| [*range.start(), *range.end()]);
    let near = ends.flat_map(|end| [end.saturating_sub(1), end, end + 1]);
    for slot in some_slots().chain(near) {
        let read = read.as_ref().ok().and_then(|map| map.owner(slot));
        assert_eq!(read, owner(slot).map(|(_, owner)| owner), "slot {slot} of {ranges:?}");
    }
    if let Ok(map) = &read {
        check(map);
        let is_named = |primary| ranges.iter().any(|(_, owner)| owner == primary);
        assert!(map.primaries().iter().all(is_named), "{map:?} of {ranges:?}");
    }
}

/// Creates an entry of the reply to `CLUSTER SLOTS`.
pub(super) fn range(first: u16, last: u16, host: &str, port: u16) -> Value {
    let host = Value::Bulk(host.to_owned().into());
    let node = Value::Array(vec![host, Value::Integer(port.into())]);
    Value::Array(vec![Value::Integer(first.into()), Value::Integer(last.into()), node])
}
