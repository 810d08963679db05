//! The slot map of a Cluster.

use std::fmt;

use crate::endpoint::Endpoint;
use crate::resp::{Command, Value};
use crate::slot::SLOTS;

/// The owner of each slot, as reported by one node.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotMap {
    /// For each slot, the index of its owner in `primaries`.
    owners: Box<[Option<u16>]>,
    primaries: Vec<Endpoint>,
    complete: bool,
}

/// The error of a reply that is not a valid slot map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSlotMap;

impl fmt::Display for InvalidSlotMap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the node's reply is not a valid slot map")
    }
}

impl std::error::Error for InvalidSlotMap {}

impl SlotMap {
    /// Returns the commands that request the map. Every server supports one of them.
    pub fn requests() -> [Command; 2] {
        [Command::new("CLUSTER").arg("SLOTS"), Command::new("CLUSTER").arg("SHARDS")]
    }

    /// Reads the reply of `sender` to either of these commands. `tls` tells which of a node's
    /// ports to use.
    ///
    /// # Errors
    /// If the reply is invalid, or assigns no slots.
    pub fn read(reply: &Value, sender: &Endpoint, tls: bool) -> Result<Self, InvalidSlotMap> {
        let Value::Array(entries) = reply else { return Err(InvalidSlotMap) };
        let owners = vec![None; usize::from(SLOTS)].into();
        let mut map = Self { owners, primaries: Vec::new(), complete: true };
        for entry in entries {
            // One invalid entry must not hide the others.
            let read = map.read_range(entry, sender).or_else(|| map.read_shard(entry, sender, tls));
            map.complete &= read.is_some();
        }
        if map.primaries.is_empty() { Err(InvalidSlotMap) } else { Ok(map) }
    }

    /// Returns `true` if all entries of the reply were valid, so that no primary is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Reads an entry of `CLUSTER SLOTS`: first slot, last slot, primary, replicas.
    fn read_range(&mut self, entry: &Value, sender: &Endpoint) -> Option<()> {
        let Value::Array(parts) = entry else { return None };
        let [first, last, Value::Array(primary), ..] = parts.as_slice() else { return None };
        let [host, port, ..] = primary.as_slice() else { return None };
        let owner = Endpoint::reported(host_of(host)?, port_of(port)?, sender)?;
        self.assign(slot_of(first)?, slot_of(last)?, owner)
    }

    /// Reads an entry of `CLUSTER SHARDS`: its slots and its nodes, by name. During a failover
    /// it may have several primaries, of which those that have failed come last.
    fn read_shard(&mut self, entry: &Value, sender: &Endpoint, tls: bool) -> Option<()> {
        let (Value::Array(slots), Value::Array(nodes)) =
            (entry.field("slots")?, entry.field("nodes")?)
        else {
            return None;
        };
        let is_primary = |node: &&Value| node.field("role").and_then(Value::text) == Some("master");
        let rank = |node: &&Value| match node.field("health").and_then(Value::text) {
            Some("online") | None => 0,
            Some("fail") => 2,
            Some(_) => 1,
        };
        let primary = nodes.iter().filter(is_primary).min_by_key(rank)?;
        let host = primary.field("endpoint").or_else(|| primary.field("ip"))?;
        let ports = if tls { ["tls-port", "port"] } else { ["port", "tls-port"] };
        let port = ports.iter().find_map(|name| primary.field(name))?;
        let owner = Endpoint::reported(host_of(host)?, port_of(port)?, sender)?;
        for range in slots.chunks_exact(2) {
            self.assign(slot_of(&range[0])?, slot_of(&range[1])?, owner.clone())?;
        }
        Some(())
    }

    fn assign(&mut self, first: u16, last: u16, owner: Endpoint) -> Option<()> {
        if first > last || last >= SLOTS {
            return None;
        }
        let index = self.index(owner)?;
        self.owners.get_mut(usize::from(first)..=usize::from(last))?.fill(Some(index));
        Some(())
    }

    fn index(&mut self, owner: Endpoint) -> Option<u16> {
        let known = self.primaries.iter().position(|primary| *primary == owner);
        let index = known.unwrap_or_else(|| {
            self.primaries.push(owner);
            self.primaries.len() - 1
        });
        index.try_into().ok()
    }

    /// Returns `true` if both assign each slot to the same node.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        (0..SLOTS).all(|slot| self.owner(slot) == other.owner(slot))
    }

    /// Returns the owner of a slot; `None` if it has none.
    #[must_use]
    pub fn owner(&self, slot: u16) -> Option<&Endpoint> {
        let index = *self.owners.get(usize::from(slot))?;
        self.primaries.get(usize::from(index?))
    }

    /// Returns all primaries, in the order of the reply.
    #[must_use]
    pub fn primaries(&self) -> &[Endpoint] {
        &self.primaries
    }

    /// Records the new owner of one slot.
    pub(super) fn moved(&mut self, slot: u16, owner: Endpoint) {
        let _known = self.assign(slot, slot, owner);
    }
}

impl fmt::Debug for SlotMap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owned = self.owners.iter().flatten().count();
        let mut debug = formatter.debug_struct("SlotMap");
        debug.field("primaries", &self.primaries).field("owned", &owned).finish()
    }
}

/// A node that doesn't know its own host replies with null.
fn host_of(value: &Value) -> Option<&str> {
    match value {
        Value::Nil => Some(""),
        value => value.text(),
    }
}

fn port_of(value: &Value) -> Option<u16> {
    match value {
        Value::Integer(port) => (*port).try_into().ok(),
        _ => None,
    }
}

fn slot_of(value: &Value) -> Option<u16> {
    match value {
        Value::Integer(slot) => u16::try_from(*slot).ok().filter(|slot| *slot < SLOTS),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::resp::Decoder;

    /// Decodes a value; `|` stands for the end of a line.
    pub(crate) fn value(text: &str) -> Value {
        let mut bytes = BytesMut::from(text.replace('|', "\r\n").as_bytes());
        Decoder::default().decode(&mut bytes).unwrap().unwrap()
    }

    fn map(text: &str) -> Result<SlotMap, InvalidSlotMap> {
        SlotMap::read(&value(text), &Endpoint::new("asked", 1), false)
    }

    #[test]
    fn cluster_slots_reply_is_parsed() {
        let node = "*4|$9|127.0.0.1|:7001|$2|id|*0|";
        let unknown_host = "*3|_|:7002|$2|id|";
        let map = map(&format!(
            "*3|*4|:0|:5460|{node}{node}*3|:5461|:10922|{unknown_host}*3|:1|:0|{node}"
        ));
        let map = map.unwrap();
        assert_eq!(map.owner(0), Some(&Endpoint::new("127.0.0.1", 7001)));
        assert_eq!(map.owner(5461), Some(&Endpoint::new("asked", 7002)));
        assert_eq!(map.owner(16_383), None);
        assert_eq!(map.primaries().len(), 2);
    }

    #[test]
    fn cluster_shards_reply_is_parsed() {
        let replica = "%3|$4|role|$7|replica|$8|endpoint|$1|r|$4|port|:1|";
        let primary = "%3|$4|role|$6|master|$8|endpoint|$1|p|$4|port|:7|";
        let map = map(&format!("*1|%2|$5|slots|*4|:0|:9|:20|:29|$5|nodes|*2|{replica}{primary}"));
        let map = map.unwrap();
        let owner = Endpoint::new("p", 7);
        assert_eq!(
            (map.owner(9), map.owner(10), map.owner(29)),
            (Some(&owner), None, Some(&owner))
        );
    }

    #[test]
    fn failed_primaries_and_other_ports_are_passed_over() {
        let node = |health: &str, port: u16| {
            format!(
                "%5|$4|role|$6|master|$8|endpoint|$1|p|$6|health|${}|{health}|$4|port|:{port}|\
                 $8|tls-port|:{}|",
                health.len(),
                port + 1000,
            )
        };
        let nodes = [node("fail", 1), node("loading", 2), node("online", 3)].concat();
        let text = format!("*1|%2|$5|slots|*2|:0|:9|$5|nodes|*3|{nodes}");
        for (tls, port) in [(false, 3), (true, 1003)] {
            let map = SlotMap::read(&value(&text), &Endpoint::new("asked", 1), tls).unwrap();
            assert_eq!(map.primaries(), [Endpoint::new("p", port)]);
        }
    }

    #[test]
    fn maps_agree_in_any_order() {
        let [first, second] = ["*3|:0|:9|*2|$1|a|:1|", "*3|:10|:19|*2|$1|b|:1|"];
        let one = map(&format!("*2|{first}{second}")).unwrap();
        assert!(one.agrees_with(&map(&format!("*2|{second}{first}")).unwrap()));
        assert!(!one.agrees_with(&map(&format!("*1|{first}")).unwrap()));
    }

    #[test]
    fn invalid_maps_are_refused() {
        let no_range = "*1|*3|:5|:0|*2|$1|a|:1|";
        for text in ["*0|", "+OK|", no_range, "*1|*3|:0|:99999|*2|$1|a|:1|", "*1|*2|:0|:1|"] {
            assert_eq!(map(text).map(|map| map.primaries().len()), Err(InvalidSlotMap), "{text}");
        }
    }

    #[test]
    fn moved_slot_has_new_owner() {
        let mut map = map("*1|*3|:0|:16383|*2|$1|a|:1|").unwrap();
        map.moved(7, Endpoint::new("b", 2));
        assert_eq!(map.owner(7), Some(&Endpoint::new("b", 2)));
        assert_eq!(map.owner(8), Some(&Endpoint::new("a", 1)));
        assert_eq!(map.primaries().len(), 2);
        map.moved(SLOTS, Endpoint::new("c", 3));
        assert_eq!(map.primaries().len(), 2, "there is no such slot");
    }
}
