//! The cluster as one node sees it.

use std::io;
use std::ops::RangeInclusive;

use super::SLOTS;

/// The reply to `CLUSTER NODES`, with the indexes of nodes.
#[derive(Clone)]
pub(super) struct View {
    /// The primary of each node that is a replica.
    pub(super) primary_of: Vec<Option<usize>>,
    /// The nodes with the flag `fail` or `fail?`.
    pub(super) failed: Vec<usize>,
    claims: Vec<(RangeInclusive<u16>, Claim)>,
}

/// A primary's claim to own slots. Of two claims, the greater one is valid.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    epoch: u64,
    pub(super) owner: usize,
}

impl View {
    pub(super) fn parse(text: &str, ids: &[String]) -> io::Result<Self> {
        let primary_of = vec![None; ids.len()];
        let mut view = Self { primary_of, failed: Vec::new(), claims: Vec::new() };
        for line in text.lines() {
            view.read(line, ids).ok_or_else(|| {
                io::Error::other(format!("invalid line in the reply to CLUSTER NODES: {line}"))
            })?;
        }
        Ok(view)
    }

    /// Reads `ID ADDRESS FLAGS PRIMARY PING PONG EPOCH LINK SLOTS…`.
    fn read(&mut self, line: &str, ids: &[String]) -> Option<()> {
        let index = |id: &str| ids.iter().position(|known| known == id);
        let words: Vec<_> = line.split_whitespace().collect();
        let [id, _, flags, primary, _, _, epoch, _, slots @ ..] = &words[..] else { return None };
        let claim = Claim { epoch: epoch.parse().ok()?, owner: index(id)? };
        self.primary_of[claim.owner] = index(primary);
        if flags.split(',').any(|flag| ["fail", "fail?"].contains(&flag)) {
            self.failed.push(claim.owner);
        }
        // Slots in brackets are being migrated.
        for slots in slots.iter().filter(|slots| !slots.starts_with('[')) {
            let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
            self.claims.push((first.parse().ok()?..=last.parse().ok()?, claim));
        }
        Some(())
    }

    pub(super) fn claim(&self, slot: u16) -> Option<Claim> {
        self.claims.iter().find(|(slots, _)| slots.contains(&slot)).map(|&(_, claim)| claim)
    }

    /// Returns a slot of a node, if it has any.
    pub(super) fn slot_of(&self, node: usize) -> Option<u16> {
        let mut claims = self.claims.iter();
        claims.find(|(_, claim)| claim.owner == node).map(|(slots, _)| *slots.start())
    }

    pub(super) fn owners(&self) -> Vec<Option<usize>> {
        let mut owners = vec![None; SLOTS];
        for (slots, claim) in &self.claims {
            let slots = usize::from(*slots.start())..=usize::from(*slots.end());
            owners[slots].fill(Some(claim.owner));
        }
        owners
    }

    /// Removes the matching replicas.
    pub(super) fn forget(&mut self, replica: impl Fn(usize) -> bool) {
        for (index, primary) in self.primary_of.iter_mut().enumerate() {
            if replica(index) {
                *primary = None;
            }
        }
    }

    pub(super) fn differs(&self, other: &Self) -> bool {
        self.primary_of != other.primary_of || self.owners() != other.owners()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_is_parsed_to_node_indexes() {
        let ids = ["a", "b", "c"].map(str::to_owned);
        let text = "b 127.0.0.1:2@12 master - 0 17 2 connected 5 7-9 [5->-a]\n\
                    a 127.0.0.1:1@11 myself,master - 0 17 3 connected 10-16383 [5-<-b]\n\
                    c 127.0.0.1:3@13,host slave,fail? b 0 17 2 disconnected\n";
        let view = View::parse(text, &ids).unwrap();
        assert_eq!(view.primary_of, [None, None, Some(1)]);
        assert_eq!(view.failed, [2]);
        assert_eq!(view.claim(5).unwrap().owner, 1);
        assert!(view.claim(6).is_none());
        assert!(view.claim(7) < view.claim(10), "the later epoch wins");
        let owners = view.owners();
        assert_eq!(owners[5..12], [Some(1), None, Some(1), Some(1), Some(1), Some(0), Some(0)]);
        assert_eq!(owners[SLOTS - 1], Some(0));
    }

    #[test]
    fn unknown_node_is_an_error() {
        let text = "x 127.0.0.1:1@11 handshake - 0 0 0 disconnected";
        assert!(View::parse(text, &["a".to_owned()]).is_err());
    }
}
