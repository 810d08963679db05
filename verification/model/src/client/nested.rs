//! Loads that read a part of their value from another entry, by a call of their own.
//!
//! The value inherits the tag of the part, with the version under which the part was valid: the
//! one that its entry carries, or that was captured before its load. Of a part that another call
//! has loaded, the loader reads the entry.

use super::call::Caller;
use super::flight::{FlightId, Lease, Step};
use crate::action::Turn;
use crate::configurations::{Configuration, Nesting, Tagging};
use crate::entry::Entry;
use crate::properties::Event;
use crate::server::{Key, TagVersion, Version};
use crate::variants::{Capture, Inherited};

/// The key of the part.
const PART: Key = Key(0);

impl Configuration {
    /// Returns `true` if the loader of a key reads a part.
    pub(super) fn reads_part(&self, key: Key) -> bool {
        self.setup.nesting != Nesting::None && key != PART
    }

    /// Returns `true` if the read of a key reads the tag: the call names it, or the entry has it.
    pub(super) fn reads_tag(&self, key: Key, entry: Option<Entry>) -> bool {
        let names_tag = !self.reads_part(key) || self.setup.nesting == Nesting::NamesTag;
        names_tag || entry.is_some()
    }

    /// Returns when a load of a key captures the tag.
    pub(super) fn capture_of(&self, key: Key) -> Option<Capture> {
        let (rules, nesting) = (&self.rules, self.setup.nesting);
        if self.setup.tagging == Tagging::None {
            return None;
        }
        if !self.reads_part(key) {
            return Some(rules.capture);
        }
        match rules.inherited {
            _ if nesting == Nesting::NamesTag => Some(Capture::BeforeLoad),
            Inherited::OfPartUnchecked => None,
            Inherited::AtEnd => Some(Capture::AfterLoad),
            _ => Some(Capture::AfterLoadIfOlder),
        }
    }

    /// Returns `true` if a load of a key compares the tag's version of before it with a later one.
    pub(super) fn compares_tag_before(&self, key: Key) -> bool {
        let is_of_part = self.reads_part(key) && self.rules.inherited != Inherited::AtEndIfOlder;
        match self.capture_of(key) {
            Some(Capture::AfterLoadIfOlder | Capture::AfterLoadIfOlderOrNew) => !is_of_part,
            _ => false,
        }
    }
}

impl Turn<'_> {
    /// The loader calls for its part.
    pub(super) fn ask_for_part(&mut self, id: FlightId) {
        let flights = &self.world.processes[id.process].flights;
        let is_used = |number: &u8| flights.iter().any(|flight| flight.step.awaits(*number));
        let number = (0..u8::MAX).find(|number| !is_used(number)).unwrap_or(u8::MAX);
        let Step::Loading { lease, tag_before, .. } = self.flight_mut(id).step else { return };
        self.flight_mut(id).step = Step::AwaitingPart { lease, number, shared: None, tag_before };
        let caller = Caller { part_of: Some(number), ..self.new_caller(PART) };
        self.begin_with(id.process, PART, caller);
    }

    /// Passes a part to the load that called for it, if the caller is one, with the version of the
    /// tag under which the part is valid, if that is known.
    pub(super) fn give_part(
        &mut self,
        process: usize,
        caller: Caller,
        part: Version,
        tag: Option<TagVersion>,
    ) {
        if let Some(id) = self.load_of(process, caller) {
            self.use_part(id, part, tag);
        }
    }

    pub(super) fn give_nearby(&mut self, process: usize, caller: Caller, entry: Entry) {
        if caller.part_of.is_some() {
            self.met(Event::PartNearby);
        }
        self.give_part(process, caller, entry.version, Some(entry.tag));
    }

    /// Notes what another call has loaded or found, if the caller is a load.
    pub(super) fn share_part(&mut self, process: usize, caller: Caller, part: Version) {
        let Some(id) = self.load_of(process, caller) else { return };
        if let Step::AwaitingPart { shared, .. } = &mut self.flight_mut(id).step {
            *shared = Some(part);
        }
    }

    fn load_of(&self, process: usize, caller: Caller) -> Option<FlightId> {
        let number = caller.part_of?;
        let mut flights = self.world.processes[process].flights.iter();
        let index = flights.position(|flight| flight.step.awaits(number))?;
        Some(FlightId { process, index })
    }

    /// Reads the entry of a part that another call has loaded: the value and its tag.
    pub(super) fn read_part(&mut self, id: FlightId) {
        let Step::AwaitingPart { shared: Some(shared), .. } = self.flight_mut(id).step else {
            return;
        };
        self.met(Event::PartReadAgain);
        let server = &self.world.server;
        let hit = server.slots[PART].entry;
        match hit.filter(|entry| self.configuration.is_usable(*entry, server.tag)) {
            Some(Entry { tag, .. })
                if self.configuration.rules.inherited == Inherited::OfEntryReadAgain =>
            {
                self.use_part(id, shared, Some(tag));
            }
            Some(Entry { version, tag, .. }) => self.use_part(id, version, Some(tag)),
            None => self.use_part(id, shared, None),
        }
    }

    /// The loader has read its part.
    fn use_part(&mut self, id: FlightId, part: Version, tag: Option<TagVersion>) {
        let Step::AwaitingPart { lease, tag_before, .. } = self.flight_mut(id).step else { return };
        let inheriting = lease.and_then(|lease| self.inherit(lease, tag));
        if let (Some(Lease { token, .. }), None) = (lease, inheriting) {
            self.met(if tag.is_some() { Event::PartOutdated } else { Event::PartUnknown });
            self.release(id, token);
        }
        let tag_before = match (self.configuration.rules.inherited, inheriting) {
            (Inherited::AtEndIfOlder, Some(_)) => tag_before,
            (Inherited::OfPart | Inherited::OfEntryReadAgain, Some(_)) => tag,
            _ => None,
        };
        self.flight_mut(id).step =
            Step::Loading { lease: inheriting, loaded: Some(part), tag_before };
    }

    /// Returns the right to store a value with the tag of its part. `None` if the version isn't
    /// known, or isn't the one that the call has captured for itself.
    fn inherit(&self, lease: Lease, tag: Option<TagVersion>) -> Option<Lease> {
        match self.configuration.rules.inherited {
            Inherited::OfCall | Inherited::AtEnd | Inherited::AtEndIfOlder => Some(lease),
            _ => {
                let names_tag = self.configuration.setup.nesting == Nesting::NamesTag;
                let tag = tag.filter(|tag| !names_tag || *tag == lease.tag)?;
                Some(Lease { tag, ..lease })
            }
        }
    }

    /// Returns `true` if the loader of a key may be given its part by the near tier.
    pub(super) fn reads_part_nearby(&self, process: usize, key: Key) -> bool {
        self.configuration.reads_part(key) && self.world.processes[process].near.is_some()
    }
}

impl Step {
    /// Returns `true` if a load of this number waits for its part.
    fn awaits(self, wanted: u8) -> bool {
        matches!(self, Self::AwaitingPart { number, .. } if number == wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configurations;

    fn named(name: &str) -> Configuration {
        let mut all = configurations::all().into_iter();
        all.find(|one| one.name == name).expect("unknown configuration")
    }

    #[test]
    fn only_outer_load_captures_late() {
        let outer = Key(1);
        let unnamed = named("inherited-tags");
        assert_eq!(unnamed.capture_of(PART), Some(Capture::BeforeLoad));
        assert_eq!(unnamed.capture_of(outer), Some(Capture::AfterLoadIfOlder));
        let named = named("inherited-tags-named");
        assert_eq!(named.capture_of(outer), Some(Capture::BeforeLoad));
    }

    #[test]
    fn read_of_missing_entry_reads_only_named_tag() {
        let (outer, entry) = (Key(1), Some(Entry::new(0, 1)));
        let unnamed = named("inherited-tags");
        assert!(unnamed.reads_tag(PART, None));
        assert!(unnamed.reads_tag(outer, entry));
        assert!(!unnamed.reads_tag(outer, None));
        assert!(named("inherited-tags-named").reads_tag(outer, None));
    }
}
