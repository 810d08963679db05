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

/// How many slots a cluster has.
const SLOTS: usize = 16384;

/// A Redis Cluster of `redis-server` processes on the loopback, without persistence. They
/// die with this handle, and also with the test process.
///
/// A node is named by its index: at the start the primaries come first, each with an equal
/// share of the slots, then the replicas of the first primary, those of the second, and so
/// on. A node keeps its index whatever its role becomes.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    /// The names that the nodes call each other by.
    ids: Vec<String>,
    bus_ports: Vec<Port>,
}

impl RedisCluster {
    /// Starts three primaries with a replica each, and waits until all is well as in
    /// [`RedisCluster::wait_until_ok`]. This takes two seconds: so long a new primary
    /// refuses to serve.
    ///
    /// # Errors
    /// If `redis-server` is not installed or the cluster doesn't come up.
    pub fn start() -> io::Result<Self> {
        Self::start_with(&[])
    }

    /// Starts three primaries with a replica each, whose processes are given more arguments.
    ///
    /// # Errors
    /// As [`RedisCluster::start`].
    pub fn start_with(arguments: &[&str]) -> io::Result<Self> {
        Self::start_sized(3, 1, arguments)
    }

    /// Starts three primaries with a replica each, all by another program, as
    /// [`RedisServer::start_program`].
    ///
    /// # Errors
    /// As [`RedisCluster::start`].
    pub fn start_program(program: impl AsRef<Path>) -> io::Result<Self> {
        create::create(program.as_ref(), 3, 1, &[])
    }

    /// Starts as many primaries with as many replicas each. A password takes two
    /// arguments, `--requirepass` and `--masterauth`.
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

    /// Gives all nodes, also those that are killed.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// Gives a node.
    ///
    /// # Panics
    /// If there is none of that index.
    #[must_use]
    pub fn node(&self, index: usize) -> &RedisServer {
        &self.nodes[index]
    }

    /// Gives a URL that names all nodes.
    #[must_use]
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(RedisServer::address).collect();
        format!("redis+cluster://{}", addresses.join(","))
    }

    /// Gives the primary that owns a slot now: the one with the latest claim that a running
    /// node knows of. A killed primary is the owner until a replica has replaced it.
    ///
    /// # Panics
    /// If no running node knows an owner.
    #[must_use]
    pub fn owner(&self, slot: u16) -> usize {
        let views: Vec<_> = self.running().filter_map(|node| self.view(node).ok()).collect();
        let claims = views.iter().filter_map(|view| view.claim(slot));
        claims.max().unwrap_or_else(|| panic!("nobody owns slot {slot}")).owner
    }

    /// Gives the running replicas that replicate from a node.
    #[must_use]
    pub fn replicas_of(&self, primary: usize) -> Vec<usize> {
        let replicates = |&node: &usize| {
            self.view(node).is_ok_and(|view| view.primary_of[node] == Some(primary))
        };
        self.running().filter(replicates).collect()
    }

    /// Gives the running nodes that are primaries by their own word, be it of no slot.
    #[must_use]
    pub fn primaries(&self) -> Vec<usize> {
        let is_primary = |&node: &usize| self.is_primary(node).unwrap_or(false);
        self.running().filter(is_primary).collect()
    }

    /// Sends a command to each of [`RedisCluster::primaries`], say `["FLUSHALL"]`.
    ///
    /// # Panics
    /// If one of them doesn't answer.
    pub fn command_all(&self, arguments: &[&str]) -> Vec<Reply> {
        self.primaries().iter().map(|&node| self.nodes[node].command(arguments)).collect()
    }

    /// Kills a node (SIGKILL). Its data is lost.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Starts a killed node again, which still knows the cluster. A primary that no replica
    /// has replaced meanwhile comes back empty.
    ///
    /// # Errors
    /// If it doesn't come up.
    pub fn restart(&mut self, node: usize) -> io::Result<()> {
        self.nodes[node].restart()
    }

    /// Stops a node in its tracks, as [`RedisServer::pause`].
    pub fn pause(&self, node: usize) {
        self.nodes[node].pause();
    }

    /// Lets a paused node go on.
    pub fn resume(&self, node: usize) {
        self.nodes[node].resume();
    }

    /// Waits until all is well: every running node says so, all agree on one running owner
    /// for every slot, on who replicates from whom and that no running node has failed, and
    /// every running replica is connected to its primary.
    ///
    /// # Panics
    /// If that isn't so after 30 seconds.
    pub fn wait_until_ok(&self) {
        self.try_wait_until_ok().unwrap_or_else(|error| panic!("{error}"));
    }

    fn try_wait_until_ok(&self) -> io::Result<()> {
        wait_for("the cluster", TIMEOUT, || {
            let mut first: Option<View> = None;
            for node in self.running() {
                let view = self.view_if_ok(node)?;
                if first.get_or_insert_with(|| view.clone()).differs(&view) {
                    return Err(io::Error::other(format!("node {node} sees it differently")));
                }
            }
            Ok(())
        })
    }

    /// Gives a node's view if all is well in it.
    fn view_if_ok(&self, node: usize) -> io::Result<View> {
        let not_yet = |what: &str| Err(io::Error::other(format!("node {node} {what}")));
        let state = self.nodes[node].order("CLUSTER INFO")?.to_text();
        if !state.contains("cluster_state:ok") {
            return not_yet("doesn't say ok");
        }
        let mut view = self.view(node)?;
        let well =
            |owner: &Option<usize>| owner.is_some_and(|owner| self.nodes[owner].is_running());
        if !view.owners().iter().all(well) {
            return not_yet("knows slots without a running owner");
        }
        if view.failed.iter().any(|&other| self.nodes[other].is_running()) {
            return not_yet("takes a running node to have failed");
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
        let text = self.nodes[node].order("CLUSTER NODES")?.to_text();
        View::parse(&text, &self.ids)
    }

    fn is_primary(&self, node: usize) -> io::Result<bool> {
        Ok(self.nodes[node].order("ROLE")?.to_text().starts_with("master"))
    }
}

impl fmt::Debug for RedisCluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisCluster").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}
