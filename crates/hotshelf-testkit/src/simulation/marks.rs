//! The operations of the server that leave marks in the place of leases, or change trailers.

use std::time::Duration;

use hotshelf_core::WireKey;
use hotshelf_core::backend::{Pause, Retrail, Token};

use super::network::Sender;
use super::server::SimServer;
use super::shown::ShortToken;

impl SimServer {
    pub(super) fn fail(&self, sender: Sender, key: &WireKey, token: Token, pause: Pause) {
        let mut state = self.begin();
        let now = self.clock(&state);
        state.keyspace.fail(key, token, pause, now);
        drop(state);
        self.notify(Some(key));
        self.note_key(sender, key, || format!("FAIL {}", ShortToken(token)));
    }

    pub(super) fn retrail(&self, sender: Sender, key: &WireKey, trailers: &Retrail) -> bool {
        let replaced = self.begin().keyspace.retrail(key, trailers);
        if replaced {
            self.notify(Some(key));
        }
        self.note_key(sender, key, || format!("SOFTEN: {replaced}"));
        replaced
    }

    pub(super) fn hold(&self, sender: Sender, keys: &[WireKey], hold: Duration) -> u64 {
        let mut state = self.begin();
        let until = self.clock(&state) + hold;
        let removed = keys.iter().map(|key| state.keyspace.hold(key, until)).sum();
        drop(state);
        for key in keys {
            self.note_key(sender, key, || format!("HOLD for {hold:?}"));
            self.notify(Some(key));
        }
        removed
    }
}
