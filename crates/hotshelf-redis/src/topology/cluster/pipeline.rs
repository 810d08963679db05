//! Many commands at once, split by the nodes that they belong to.

use std::sync::Arc;

use futures_util::future::join_all;
use hotshelf_core::{Error, Moment};
use hotshelf_wire::resp::Value;

use super::{Cluster, REDIRECTIONS, Target, going_round};
use crate::connection::Request;

/// A command of many, and where it goes next.
struct Pending {
    at: usize,
    target: Target,
}

impl Cluster {
    /// Sends commands to their nodes side by side, and gives the replies in their order.
    ///
    /// Those that are told to go elsewhere go there together in a next round.
    pub(in crate::topology) async fn ask_all(
        self: &Arc<Self>,
        requests: &[Request],
        deadline: Moment,
    ) -> Vec<Result<Value, Error>> {
        let map = match self.map(deadline).await {
            Ok(map) => map,
            Err(error) => return vec![Err(error); requests.len()],
        };
        let mut replies: Vec<Result<Value, Error>> = vec![Err(going_round()); requests.len()];
        let mut pending = Vec::with_capacity(requests.len());
        for (at, request) in requests.iter().enumerate() {
            match self.target(&map, request) {
                Ok(target) => pending.push(Pending { at, target }),
                Err(error) => replies[at] = Err(error),
            }
        }
        for _ in 0..=REDIRECTIONS {
            if pending.is_empty() {
                break;
            }
            let groups = by_target(pending);
            let asked = groups.iter().map(|(target, places)| {
                self.ask_node(target, places.iter().map(|&at| &requests[at]), deadline)
            });
            let answered = join_all(asked).await;
            pending = Vec::new();
            for ((target, places), answers) in groups.into_iter().zip(answered) {
                for (at, reply) in places.into_iter().zip(answers) {
                    match self.redirected(&target.node, &reply) {
                        Some(target) => pending.push(Pending { at, target }),
                        None => replies[at] = reply,
                    }
                }
            }
            // In the order in which they were given, wherever they have been.
            pending.sort_by_key(|pending| pending.at);
        }
        replies
    }

    async fn ask_node<'a>(
        &self,
        target: &Target,
        requests: impl ExactSizeIterator<Item = &'a Request>,
        deadline: Moment,
    ) -> Vec<Result<Value, Error>> {
        let count = requests.len();
        let asked = match self.link(&target.node) {
            Ok(link) => link.ask_all(requests, target.manner, deadline).await,
            Err(error) => Err(error),
        };
        asked.unwrap_or_else(|error| vec![Err(error); count])
    }
}

/// Puts together what goes to one node in one manner. There are few nodes.
fn by_target(pending: Vec<Pending>) -> Vec<(Target, Vec<usize>)> {
    let mut groups: Vec<(Target, Vec<usize>)> = Vec::new();
    for Pending { at, target } in pending {
        match groups.iter_mut().find(|(other, _)| *other == target) {
            Some((_, places)) => places.push(at),
            None => groups.push((target, vec![at])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use hotshelf_wire::Endpoint;

    use super::*;
    use crate::connection::Manner;

    #[test]
    fn commands_are_put_together_by_node_and_manner() {
        let pending = |at, host: &str, manner| {
            let node = Endpoint::new(host, 1);
            Pending { at, target: Target { node, manner } }
        };
        let groups = by_target(vec![
            pending(0, "a", Manner::Plain),
            pending(1, "b", Manner::Plain),
            pending(2, "a", Manner::Plain),
            pending(3, "a", Manner::Asking),
        ]);
        let places: Vec<_> = groups.into_iter().map(|(_, places)| places).collect();
        assert_eq!(places, [vec![0, 2], vec![1], vec![3]]);
    }
}
