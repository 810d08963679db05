//! What is read out of the replies of nodes and of Sentinels.

use bytes::BytesMut;
use hotshelf_wire::cluster::SlotMap;
use hotshelf_wire::resp::{Decoder, Value};
use hotshelf_wire::sentinel::{Sentinels, is_primary};
use hotshelf_wire::{Endpoint, SLOTS};

use super::redirect::can_be_reached;
use crate::input::Input;

/// The hosts of the maps that are made here; some that a client can't use.
const HOSTS: [&str; 6] = ["a", "b", "c", "", "?", "[fe80::1]"];

/// The most Sentinels that are kept.
const MOST_SENTINELS: usize = 64;

/// Takes any values for maps of slots, and for what Sentinels say.
pub(super) fn any(bytes: &[u8]) {
    let (mut decoder, mut bytes) = (Decoder::default(), BytesMut::from(bytes));
    let mut replies = Vec::new();
    while let Ok(Some(reply)) = decoder.decode(&mut bytes) {
        replies.push(reply);
    }
    let speaker = Endpoint::new("speaker", 1);
    for reply in &replies {
        let _is_asked_of_sentinels = is_primary(reply);
        if let Ok(map) = SlotMap::read(reply, &speaker) {
            check(&map);
        }
    }
    let mut sentinels = Sentinels::new("service".into(), vec![speaker.clone()]);
    let primary = sentinels.answered(&speaker, &replies);
    assert!(primary.as_ref().is_none_or(can_be_reached), "{primary:?}");
    assert!(sentinels.known().len() <= MOST_SENTINELS && sentinels.known()[0] == speaker);
    assert!(sentinels.known().iter().all(can_be_reached), "{sentinels:?}");
}

/// A map tells of a slot at least, and of owners that can be reached.
pub(super) fn check(map: &SlotMap) {
    assert!((0..SLOTS).any(|slot| map.owner(slot).is_some()), "{map:?} tells of no slot");
    let mut owners = some_slots().filter_map(|slot| map.owner(slot));
    assert!(owners.all(|owner| map.primaries().contains(owner)), "{map:?}");
    assert!([SLOTS, SLOTS + 1, u16::MAX].iter().all(|slot| map.owner(*slot).is_none()), "{map:?}");
    assert!(map.primaries().iter().all(can_be_reached), "{map:?}");
}

/// Slots from all over the map. To look at each takes ten times as long as all the rest.
pub(super) fn some_slots() -> impl Iterator<Item = u16> {
    (0..SLOTS).step_by(127).chain([SLOTS - 1])
}

/// The map that is read from `CLUSTER SLOTS` says of each slot what the last range says that
/// holds it.
pub(super) fn of_slots(mut input: Input<'_>) {
    let speaker = Endpoint::new("speaker", 1);
    let (mut entries, mut told) = (Vec::new(), Vec::new());
    while !input.0.is_empty() {
        let (first, last) = (input.number(), input.number());
        let (host, port) = (input.choice(&HOSTS), u16::from(input.small() % 4));
        entries.push(range(first, last, host, port));
        if first <= last && last < SLOTS && port > 0 && host != "?" {
            let name = if host.is_empty() { "speaker" } else { host.trim_matches(['[', ']']) };
            told.push((first..=last, Endpoint::new(name, port)));
        }
    }
    let read = SlotMap::read(&Value::Array(entries), &speaker);
    let owner = |slot| told.iter().rev().find(|(range, _)| range.contains(&slot));
    let ends = told.iter().flat_map(|(range, _)| [*range.start(), *range.end()]);
    let near = ends.flat_map(|end| [end.saturating_sub(1), end, end + 1]);
    for slot in some_slots().chain(near) {
        let read = read.as_ref().ok().and_then(|map| map.owner(slot));
        assert_eq!(read, owner(slot).map(|(_, owner)| owner), "slot {slot} of {told:?}");
    }
    if let Ok(map) = &read {
        check(map);
        let is_told = |primary| told.iter().any(|(_, owner)| owner == primary);
        assert!(map.primaries().iter().all(is_told), "{map:?} of {told:?}");
    }
}

/// Makes an entry of the reply to `CLUSTER SLOTS`.
pub(super) fn range(first: u16, last: u16, host: &str, port: u16) -> Value {
    let host = Value::Bulk(host.to_owned().into());
    let node = Value::Array(vec![host, Value::Integer(port.into())]);
    Value::Array(vec![Value::Integer(first.into()), Value::Integer(last.into()), node])
}
