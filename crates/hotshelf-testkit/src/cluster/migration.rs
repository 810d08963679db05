//! Migration of a slot, step by step: between the steps clients receive `ASK` and `TRYAGAIN`.

use super::RedisCluster;
use crate::{RedisServer, Reply};

impl RedisCluster {
    /// Starts the migration of a slot on both primaries. No key moves yet.
    ///
    /// # Panics
    /// If one of them returns an error.
    pub fn migrate_begin(&self, slot: u16, to: usize) {
        let from = self.owner(slot);
        self.set_slot(to, &format!("{slot} IMPORTING {}", self.ids[from]));
        self.set_slot(from, &format!("{slot} MIGRATING {}", self.ids[to]));
    }

    /// Moves the slot's keys, which must be UTF-8, after [`RedisCluster::migrate_begin`].
    ///
    /// # Panics
    /// If a key cannot be moved.
    pub fn migrate_keys(&self, slot: u16, to: usize) {
        let from = &self.nodes[self.owner(slot)];
        let next = format!("CLUSTER GETKEYSINSLOT {slot} 100");
        loop {
            let keys = match from.command(&next.split(' ').collect::<Vec<_>>()) {
                Reply::Array(keys) if keys.is_empty() => return,
                Reply::Array(keys) => keys.iter().map(Reply::to_text).collect::<Vec<_>>(),
                reply => panic!("{next}: {reply:?}"),
            };
            move_keys(from, &self.nodes[to], &keys);
        }
    }

    /// Assigns the slot to the other primary, in its own view, in that of the old owner and
    /// then in those of the other running primaries. Replicas learn of it later:
    /// [`RedisCluster::wait_until_ok`] waits for them.
    ///
    /// # Panics
    /// If one of them returns an error, as the old owner does while it still has keys.
    pub fn migrate_end(&self, slot: u16, to: usize) {
        let from = self.owner(slot);
        let others = self.primaries().into_iter().filter(|node| ![from, to].contains(node));
        for node in [to, from].into_iter().chain(others) {
            self.set_slot(node, &format!("{slot} NODE {}", self.ids[to]));
        }
    }

    fn set_slot(&self, node: usize, words: &str) {
        let command = format!("CLUSTER SETSLOT {words}");
        self.nodes[node].execute(&command).unwrap_or_else(|error| panic!("{error}"));
    }
}

fn move_keys(from: &RedisServer, to: &RedisServer, keys: &[String]) {
    let port = to.port().to_string();
    let mut command = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000"];
    if let Some(password) = to.password() {
        command.extend(["AUTH", password]);
    }
    command.push("KEYS");
    command.extend(keys.iter().map(String::as_str));
    assert_eq!(from.command(&command), Reply::Text("OK".to_owned()), "{keys:?}");
}
