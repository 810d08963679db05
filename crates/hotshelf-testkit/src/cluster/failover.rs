//! Making a replica the primary.

use std::io;
use std::time::Duration;

use super::{RedisCluster, TIMEOUT};
use crate::wait::wait_for;

/// After so long the replica has given a failover up.
const ATTEMPT: Duration = Duration::from_secs(6);

/// How a replica becomes the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failover {
    /// With the old primary, which stops its clients until the replica has all data.
    Orderly,
    /// Without the old primary, by the vote of the others.
    Force,
    /// Without asking anybody.
    Takeover,
}

impl RedisCluster {
    /// Makes a replica the primary and waits until it is, as [`RedisCluster::owner`] says.
    /// Others may still know the old primary: [`RedisCluster::wait_until_ok`] waits for them.
    ///
    /// A replica that has won another election within the last four seconds takes some
    /// seconds more, and at first makes itself a primary that nobody obeys.
    ///
    /// # Panics
    /// If the replica isn't the primary after 30 seconds.
    pub fn failover(&self, replica: usize, how: Failover) {
        let order = match how {
            Failover::Orderly => "CLUSTER FAILOVER",
            Failover::Force => "CLUSTER FAILOVER FORCE",
            Failover::Takeover => "CLUSTER FAILOVER TAKEOVER",
        };
        // One that has won another election just now counts those votes again (Redis 7.0), and
        // resigns when it hears from the primary of a later epoch. Nor does anybody vote twice
        // on one primary within two timeouts.
        let attempt = || {
            self.nodes[replica].order(order)?;
            wait_for("the replica's new role", ATTEMPT, || self.promoted(replica))
        };
        wait_for("a failover", TIMEOUT, attempt).unwrap_or_else(|error| panic!("{error}"));
    }

    fn promoted(&self, replica: usize) -> io::Result<()> {
        match self.view(replica)?.slot_of(replica) {
            Some(slot) if self.owner(slot) == replica => Ok(()),
            _ => Err(io::Error::other(format!("node {replica} is no primary"))),
        }
    }
}
