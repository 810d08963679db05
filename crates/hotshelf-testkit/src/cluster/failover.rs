//! Promotion of replicas.

use std::io;
use std::time::Duration;

use super::{RedisCluster, TIMEOUT};
use crate::wait::wait_for;

/// The time after which a replica has abandoned a failover.
const ATTEMPT: Duration = Duration::from_secs(6);

/// The ways to promote a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failover {
    /// In coordination with the old primary, which blocks its clients until the replica has
    /// all data.
    Orderly,
    /// Without the old primary, elected by the other primaries.
    Force,
    /// Without an election.
    Takeover,
}

impl RedisCluster {
    /// Promotes a replica and waits until [`RedisCluster::owner`] returns it. Other nodes may
    /// still know the old primary: [`RedisCluster::wait_until_ok`] waits for them.
    ///
    /// A replica that won another election within the last four seconds needs some seconds
    /// more, and at first becomes a primary that the other nodes do not accept.
    ///
    /// # Panics
    /// If the replica is not the primary after 30 seconds.
    pub fn failover(&self, replica: usize, how: Failover) {
        let command = match how {
            Failover::Orderly => "CLUSTER FAILOVER",
            Failover::Force => "CLUSTER FAILOVER FORCE",
            Failover::Takeover => "CLUSTER FAILOVER TAKEOVER",
        };
        // A replica that has just won another election counts those votes again (Redis 7.0),
        // and steps down when it learns of the primary with a later epoch. No node votes twice
        // for the same primary within two timeouts.
        let attempt = || {
            self.nodes[replica].execute(command)?;
            wait_for("the promotion of the replica", ATTEMPT, || self.promoted(replica))
        };
        wait_for("a failover", TIMEOUT, attempt).unwrap_or_else(|error| panic!("{error}"));
    }

    fn promoted(&self, replica: usize) -> io::Result<()> {
        match self.view(replica)?.slot_of(replica) {
            Some(slot) if self.owner(slot) == replica => Ok(()),
            _ => Err(io::Error::other(format!("node {replica} is not a primary"))),
        }
    }
}
