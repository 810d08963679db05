//! Creation of a cluster.

use std::io;
use std::path::Path;

use super::{RedisCluster, SLOTS, TIMEOUT};
use crate::ports::Port;
use crate::wait::{in_parallel, wait_for};
use crate::{RedisServer, replication};

/// Failures are detected soon, since tests wait for that, and replicas do not migrate between
/// primaries.
const SETTINGS: [&str; 8] = [
    "--cluster-enabled",
    "yes",
    "--cluster-node-timeout",
    "1000",
    "--cluster-replica-validity-factor",
    "0",
    "--cluster-allow-replica-migration",
    "no",
];

pub(super) fn create(
    program: &Path,
    primaries: usize,
    replicas_each: usize,
    arguments: &[&str],
) -> io::Result<RedisCluster> {
    let count = primaries * (1 + replicas_each);
    let bus_ports: Vec<_> = (0..count).map(|_| Port::reserve()).collect::<Result<_, _>>()?;
    let start = |bus: &Port| {
        let bus = bus.number().to_string();
        let arguments =
            [&["--cluster-port", &bus], &SETTINGS[..], &replication::SETTINGS, arguments].concat();
        RedisServer::start_program(program, &arguments)
    };
    let nodes = in_parallel(bus_ports.iter().map(|bus| move || start(bus)))?;
    let id = |node: &RedisServer| Ok(node.execute("CLUSTER MYID")?.to_text());
    let ids = nodes.iter().map(id).collect::<io::Result<_>>()?;
    let cluster = RedisCluster { nodes, ids, bus_ports };
    cluster.set_epochs()?;
    cluster.assign_slots(primaries)?;
    cluster.introduce()?;
    cluster.attach_replicas(primaries, replicas_each)?;
    cluster.try_wait_until_ok()?;
    Ok(cluster)
}

impl RedisCluster {
    /// Sets distinct epochs, since nodes with the same epoch would have to resolve the
    /// conflict later.
    fn set_epochs(&self) -> io::Result<()> {
        for (node, epoch) in self.nodes.iter().zip(1..) {
            node.execute(&format!("CLUSTER SET-CONFIG-EPOCH {epoch}"))?;
        }
        Ok(())
    }

    fn assign_slots(&self, primaries: usize) -> io::Result<()> {
        for (index, node) in self.nodes[..primaries].iter().enumerate() {
            let first = SLOTS * index / primaries;
            let last = SLOTS * (index + 1) / primaries - 1;
            node.execute(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"))?;
        }
        Ok(())
    }

    /// Introduces every node to every other one, which is faster than waiting for gossip.
    fn introduce(&self) -> io::Result<()> {
        for (index, node) in self.nodes.iter().enumerate() {
            for (other, bus) in self.nodes.iter().zip(&self.bus_ports).skip(index + 1) {
                let (port, bus) = (other.port(), bus.number());
                node.execute(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}"))?;
            }
        }
        Ok(())
    }

    fn attach_replicas(&self, primaries: usize, replicas_each: usize) -> io::Result<()> {
        for (index, replica) in self.nodes[primaries..].iter().enumerate() {
            let replicate = format!("CLUSTER REPLICATE {}", self.ids[index / replicas_each]);
            // The primary is unknown until the handshake is done.
            wait_for("a replica to know its primary", TIMEOUT, || replica.execute(&replicate))?;
        }
        Ok(())
    }
}
