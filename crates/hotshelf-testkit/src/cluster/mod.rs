//! A real Redis Cluster for one test.

mod create;
mod failover;
mod migration;
mod view;

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::ports::Port;
use crate::redis_server::REDIS;
use crate::replication::replicates;
use crate::wait::wait_for;
use crate::{RedisServer, Reply};
use view::View;

pub use failover::Failover;

const TIMEOUT: Duration = Duration::from_secs(30);

/// The number of slots of a cluster.
const SLOTS: usize = 16384;

/// A Redis Cluster of `redis-server` processes on the loopback, without persistence. They are
/// killed when this handle is dropped or the test process ends.
///
/// A node is named by its index: at the start the primaries come first, each with an equal
/// share of the slots, then the replicas of the first primary, those of the second, and so on.
/// A node keeps its index when its role changes.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    /// The ids that the nodes use for each other.
    ids: Vec<String>,
    bus_ports: Vec<Port>,
}

impl RedisCluster {
    /// Starts three primaries with a replica each, and waits as in
    /// [`RedisCluster::wait_until_ok`]. This takes two seconds, during which new primaries
    /// reject commands.
    ///
    /// # Errors
    /// If `redis-server` is not installed or the cluster does not start.
    pub fn start() -> io::Result<Self> {
        Self::start_with(&[])
    }

    /// Starts three primaries with a replica each, with additional arguments.
    ///
    /// # Errors
    /// As [`RedisCluster::start`].
    pub fn start_with(arguments: &[&str]) -> io::Result<Self> {
        Self::start_sized(3, 1, arguments)
    }

    /// Starts three primaries with a replica each, all with another program, as
    /// [`RedisServer::start_program`] does.
    ///
    /// # Errors
    /// As [`RedisCluster::start`].
    pub fn start_program(program: impl AsRef<Path>) -> io::Result<Self> {
        create::create(program.as_ref(), 3, 1, &[])
    }

    /// Starts a cluster of the given size. A password takes two arguments, `--requirepass` and
    /// `--masterauth`.
    ///
    /// # Errors
    /// As [`RedisCluster::start`].
    pub fn start_sized(
        primaries: usize,
        replicas_each: usize,
        arguments: &[&str],
    ) -> io::Result<Self> {
        create::create(REDIS.as_ref(), primaries, replicas_each, arguments)
    }

    /// Returns all nodes, including killed ones.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// Returns a node.
    ///
    /// # Panics
    /// If the index is out of range.
    #[must_use]
    pub fn node(&self, index: usize) -> &RedisServer {
        &self.nodes[index]
    }

    /// Returns a URL that contains all nodes.
    #[must_use]
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(RedisServer::address).collect();
        format!("redis+cluster://{}", addresses.join(","))
    }

    /// Returns the current owner of a slot: the primary with the latest claim that a running
    /// node knows of. A killed primary is the owner until a replica has replaced it.
    ///
    /// # Panics
    /// If no running node knows the owner.
    #[must_use]
    pub fn owner(&self, slot: u16) -> usize {
        let views: Vec<_> = self.running().filter_map(|node| self.view(node).ok()).collect();
        let claims = views.iter().filter_map(|view| view.claim(slot));
        claims.max().unwrap_or_else(|| panic!("slot {slot} has no owner")).owner
    }

    /// Returns the running replicas of a node.
    #[must_use]
    pub fn replicas_of(&self, primary: usize) -> Vec<usize> {
        let replicates = |&node: &usize| {
            self.view(node).is_ok_and(|view| view.primary_of[node] == Some(primary))
        };
        self.running().filter(replicates).collect()
    }

    /// Returns the running nodes that report the role of a primary, including those without
    /// slots.
    #[must_use]
    pub fn primaries(&self) -> Vec<usize> {
        let is_primary = |&node: &usize| self.is_primary(node).unwrap_or(false);
        self.running().filter(is_primary).collect()
    }

    /// Sends a command, e.g. `["FLUSHALL"]`, to each of [`RedisCluster::primaries`].
    ///
    /// # Panics
    /// If one of them does not answer.
    pub fn command_all(&self, arguments: &[&str]) -> Vec<Reply> {
        self.primaries().iter().map(|&node| self.nodes[node].command(arguments)).collect()
    }

    /// Kills a node (SIGKILL). Its data is lost.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Restarts a killed node, which still knows the cluster. A primary that was not replaced
    /// in the meantime comes back empty.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&mut self, node: usize) -> io::Result<()> {
        self.nodes[node].restart()
    }

    /// Pauses a node, as [`RedisServer::pause`] does.
    pub fn pause(&self, node: usize) {
        self.nodes[node].pause();
    }

    /// Resumes a paused node.
    pub fn resume(&self, node: usize) {
        self.nodes[node].resume();
    }

    /// Waits until the cluster is healthy: every running node reports the state `ok`, all
    /// agree on one running owner of every slot, on the primary of every replica and that no
    /// running node has failed, and every running replica is connected to its primary.
    ///
    /// # Panics
    /// If it is not healthy after 30 seconds.
    pub fn wait_until_ok(&self) {
        self.try_wait_until_ok().unwrap_or_else(|error| panic!("{error}"));
    }

    fn try_wait_until_ok(&self) -> io::Result<()> {
        wait_for("a healthy cluster", TIMEOUT, || {
            let mut first: Option<View> = None;
            for node in self.running() {
                let view = self.view_if_ok(node)?;
                if first.get_or_insert_with(|| view.clone()).differs(&view) {
                    return Err(io::Error::other(format!("node {node} has a different view")));
                }
            }
            Ok(())
        })
    }

    /// Returns the view of a node if it is healthy.
    fn view_if_ok(&self, node: usize) -> io::Result<View> {
        let not_yet = |reason: &str| Err(io::Error::other(format!("node {node} {reason}")));
        let state = self.nodes[node].execute("CLUSTER INFO")?.to_text();
        if !state.contains("cluster_state:ok") {
            return not_yet("does not report the state ok");
        }
        let mut view = self.view(node)?;
        let is_running =
            |owner: &Option<usize>| owner.is_some_and(|owner| self.nodes[owner].is_running());
        if !view.owners().iter().all(is_running) {
            return not_yet("has slots without a running owner");
        }
        if view.failed.iter().any(|&other| self.nodes[other].is_running()) {
            return not_yet("considers a running node failed");
        }
        if let Some(primary) = view.primary_of[node] {
            replicates(&self.nodes[node], &self.nodes[primary])?;
        }
        view.forget(|other| !self.nodes[other].is_running());
        Ok(view)
    }

    fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|&node| self.nodes[node].is_running())
    }

    fn view(&self, node: usize) -> io::Result<View> {
        let text = self.nodes[node].execute("CLUSTER NODES")?.to_text();
        View::parse(&text, &self.ids)
    }

    fn is_primary(&self, node: usize) -> io::Result<bool> {
        Ok(self.nodes[node].execute("ROLE")?.to_text().starts_with("master"))
    }
}

impl fmt::Debug for RedisCluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisCluster").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}
