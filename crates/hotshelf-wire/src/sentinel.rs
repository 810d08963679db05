//! Discovery of the primary of a service through its Sentinels.
//!
//! Follows <https://redis.io/docs/latest/develop/reference/sentinel-clients/>: ask the
//! Sentinels for the primary, verify with `ROLE` that it is one, and ask again when the
//! connection is lost or a Sentinel announces a new primary. A Sentinel may be outdated, so
//! that all are asked, and the answer that most of them give is tried first.

use crate::endpoint::Endpoint;
use crate::resp::{Command, Value};

/// The channel on which Sentinels announce the new primary of a service.
pub const SWITCHES: &str = "+switch-master";

/// The maximum number of known Sentinels, far more than a deployment has. Further ones are
/// ignored.
const MAX_SENTINELS: usize = 64;

/// The Sentinels of a service.
#[derive(Clone, Debug)]
pub struct Sentinels {
    service: String,
    endpoints: Vec<Endpoint>,
}

impl Sentinels {
    /// Creates the list from the name of the service and the endpoints of some Sentinels.
    #[must_use]
    pub fn new(service: String, seeds: Vec<Endpoint>) -> Self {
        Self { service, endpoints: seeds }
    }

    /// Returns the Sentinels, in the order in which to listen to one of them.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Returns the commands to send to a Sentinel, in one round trip.
    pub fn requests(&self) -> [Command; 2] {
        let sentinel = |subcommand: &str| Command::new("SENTINEL").arg(subcommand);
        ["GET-MASTER-ADDR-BY-NAME", "SENTINELS"].map(|name| sentinel(name).arg(&self.service))
    }

    /// Reads a Sentinel's replies and returns the primary; `None` if it is unknown.
    ///
    /// The Sentinels that it names are asked, too.
    pub fn answered(&mut self, sentinel: &Endpoint, replies: &[Value]) -> Option<Endpoint> {
        let [Value::Array(primary), others @ ..] = replies else { return None };
        let primary = address(primary, sentinel)?;
        if let [Value::Array(others), ..] = others {
            for other in others.iter().filter_map(|other| described(other, sentinel)) {
                if !self.endpoints.contains(&other) && self.endpoints.len() < MAX_SENTINELS {
                    self.endpoints.push(other);
                }
            }
        }
        Some(primary)
    }

    /// Moves a Sentinel to the end of the list: it may be mistaken.
    pub fn distrust(&mut self, sentinel: &Endpoint) {
        if let Some(position) = self.endpoints.iter().position(|other| other == sentinel) {
            let sentinel = self.endpoints.remove(position);
            self.endpoints.push(sentinel);
        }
    }

    /// Returns `true` if a published message announces a new primary of this service.
    #[must_use]
    pub fn is_switch(&self, channel: &[u8], message: &[u8]) -> bool {
        let mut words = message.split(|byte| *byte == b' ');
        channel == SWITCHES.as_bytes() && words.next() == Some(self.service.as_bytes())
    }
}

/// Returns `true` if the reply to `ROLE` is that of a primary.
#[must_use]
pub fn is_primary(role: &Value) -> bool {
    let Value::Array(parts) = role else { return false };
    parts.first().and_then(Value::text) == Some("master")
}

/// Reads `[host, port]`.
fn address(parts: &[Value], sender: &Endpoint) -> Option<Endpoint> {
    let [host, port] = parts else { return None };
    Endpoint::reported(host.text()?, port.text()?.parse().ok()?, sender)
}

/// Reads the address from a Sentinel's description of another one.
fn described(sentinel: &Value, sender: &Endpoint) -> Option<Endpoint> {
    let text = |name| sentinel.field(name).and_then(Value::text);
    Endpoint::reported(text("ip")?, text("port")?.parse().ok()?, sender)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn bulk(text: &'static str) -> Value {
        Value::Bulk(Bytes::from_static(text.as_bytes()))
    }

    fn sentinel(number: u16) -> Endpoint {
        Endpoint::new("s", number)
    }

    fn sentinels() -> Sentinels {
        Sentinels::new("main".into(), vec![sentinel(1), sentinel(2)])
    }

    #[test]
    fn sentinels_name_others() {
        let mut sentinels = sentinels();
        assert_eq!(sentinels.answered(&sentinel(1), &[Value::Nil]), None);
        let primary = Value::Array(vec![bulk("10.0.0.1"), bulk("6379")]);
        let third = vec![(bulk("ip"), bulk("s")), (bulk("port"), bulk("3"))];
        let fourth = vec![bulk("name"), bulk("x"), bulk("ip"), bulk("s"), bulk("port"), bulk("4")];
        let others = Value::Array(vec![Value::Map(third), Value::Array(fourth), Value::Nil]);
        let found = sentinels.answered(&sentinel(2), &[primary, others]);
        assert_eq!(found, Some(Endpoint::new("10.0.0.1", 6379)));
        assert_eq!(sentinels.endpoints(), [1, 2, 3, 4].map(sentinel));
        sentinels.distrust(&sentinel(2));
        assert_eq!(sentinels.endpoints(), [1, 3, 4, 2].map(sentinel));
    }

    #[test]
    fn switches_of_other_services_are_ignored() {
        let sentinels = sentinels();
        let is_switch = |message: &str| sentinels.is_switch(b"+switch-master", message.as_bytes());
        assert!(is_switch("main 127.0.0.1 1 127.0.0.1 2"));
        assert!(!is_switch("mainly 127.0.0.1 1 127.0.0.1 2"));
        assert!(!is_switch(""));
        assert!(!sentinels.is_switch(b"+sdown", b"main"));
    }

    #[test]
    fn only_masters_are_primaries() {
        assert!(is_primary(&Value::Array(vec![bulk("master"), Value::Integer(0)])));
        assert!(!is_primary(&Value::Array(vec![bulk("slave")])));
        assert!(!is_primary(&Value::Array(vec![])));
        assert!(!is_primary(&Value::Nil));
    }
}
