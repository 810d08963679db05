//! Many commands at once, grouped by node.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hotshelf_core::Error;
use hotshelf_wire::resp::Value;

use super::{Cluster, REDIRECTIONS, Target, redirection_loop};
use crate::connection::Request;

/// One of many commands, and its next target.
struct Pending {
    /// Its position among the commands.
    index: usize,
    target: Target,
}

impl Cluster {
    /// Sends commands to their nodes in parallel, and returns the replies in order.
    ///
    /// Redirected commands are grouped again, and sent in the next round.
    pub(in crate::topology) async fn send_all(
        self: &Arc<Self>,
        requests: &[Request],
        timeout: Duration,
    ) -> Vec<Result<Value, Error>> {
        let map = match self.map(timeout).await {
            Ok(map) => map,
            Err(error) => return vec![Err(error); requests.len()],
        };
        let mut replies: Vec<Result<Value, Error>> = vec![Err(redirection_loop()); requests.len()];
        let mut pending = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            match self.target(&map, request) {
                Ok(target) => pending.push(Pending { index, target }),
                Err(error) => replies[index] = Err(error),
            }
        }
        for _ in 0..=REDIRECTIONS {
            if pending.is_empty() {
                break;
            }
            let groups = by_target(pending);
            let sent = groups.iter().map(|(target, indices)| {
                self.send_to_node(target, indices.iter().map(|&index| &requests[index]), timeout)
            });
            let answered = join_all(sent).await;
            pending = Vec::new();
            for ((target, indices), answers) in groups.into_iter().zip(answered) {
                for (index, reply) in indices.into_iter().zip(answers) {
                    match self.redirected(&target.node, &reply) {
                        Some(target) => pending.push(Pending { index, target }),
                        None => replies[index] = reply,
                    }
                }
            }
            // Restores the caller's order: the commands come back from several nodes.
            pending.sort_by_key(|pending| pending.index);
        }
        replies
    }

    async fn send_to_node<'a>(
        &self,
        target: &Target,
        requests: impl ExactSizeIterator<Item = &'a Request> + Clone,
        timeout: Duration,
    ) -> Vec<Result<Value, Error>> {
        let count = requests.len();
        let replies = match self.link(&target.node) {
            Ok(link) => link.send_all(requests, target.routing, timeout).await,
            Err(error) => Err(error),
        };
        replies.unwrap_or_else(|error| vec![Err(error); count])
    }
}

/// Groups commands by target. A linear search is enough: there are few nodes.
fn by_target(pending: Vec<Pending>) -> Vec<(Target, Vec<usize>)> {
    let mut groups: Vec<(Target, Vec<usize>)> = Vec::new();
    for Pending { index, target } in pending {
        match groups.iter_mut().find(|(other, _)| *other == target) {
            Some((_, indices)) => indices.push(index),
            None => groups.push((target, vec![index])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use hotshelf_wire::Endpoint;

    use super::*;
    use crate::connection::Routing;

    #[test]
    fn commands_are_grouped_by_target() {
        let pending = |index, host: &str, routing| {
            let node = Endpoint::new(host, 1);
            Pending { index, target: Target { node, routing } }
        };
        let groups = by_target(vec![
            pending(0, "a", Routing::Owner),
            pending(1, "b", Routing::Owner),
            pending(2, "a", Routing::Owner),
            pending(3, "a", Routing::Asking),
        ]);
        let indices: Vec<_> = groups.into_iter().map(|(_, indices)| indices).collect();
        assert_eq!(indices, [vec![0, 2], vec![1], vec![3]]);
    }
}
