//! Finding the primary of a service by its Sentinels.
//!
//! After <https://redis.io/docs/latest/develop/reference/sentinel-clients/>: ask one
//! Sentinel after the other for the primary, make sure by `ROLE` that it is one, and ask
//! anew when the connection is lost or a Sentinel announces a switch.

use crate::endpoint::Endpoint;
use crate::resp::{Command, Value};

/// The channel on which Sentinels announce that a service has a new primary.
pub const SWITCHES: &str = "+switch-master";

/// More Sentinels than these nobody runs; a reply that names more is cut.
const MOST: usize = 64;

/// The Sentinels of a service: those that answered last come first.
#[derive(Clone, Debug)]
pub struct Sentinels {
    service: String,
    known: Vec<Endpoint>,
}

impl Sentinels {
    /// Takes the name of the service, and where some of its Sentinels are.
    #[must_use]
    pub fn new(service: String, seeds: Vec<Endpoint>) -> Self {
        Self { service, known: seeds }
    }

    /// Gives the Sentinels in the order in which to ask them.
    #[must_use]
    pub fn known(&self) -> &[Endpoint] {
        &self.known
    }

    /// Gives what to ask a Sentinel, in one round trip.
    pub fn ask(&self) -> [Command; 2] {
        let ask = |what: &str| Command::new("SENTINEL").arg(what).arg(&self.service);
        [ask("GET-MASTER-ADDR-BY-NAME"), ask("SENTINELS")]
    }

    /// Takes a Sentinel's replies, and gives the primary; `None` if it knows of none.
    ///
    /// A Sentinel that knows it is asked first from now on, and those that it names are
    /// asked when others fail.
    pub fn answered(&mut self, sentinel: &Endpoint, replies: &[Value]) -> Option<Endpoint> {
        let [Value::Array(primary), others @ ..] = replies else { return None };
        let primary = address(primary, sentinel)?;
        self.known.retain(|known| known != sentinel);
        self.known.insert(0, sentinel.clone());
        if let [Value::Array(others), ..] = others {
            for other in others.iter().filter_map(|other| named(other, sentinel)) {
                if !self.known.contains(&other) && self.known.len() < MOST {
                    self.known.push(other);
                }
            }
        }
        Some(primary)
    }

    /// Says whether what a Sentinel has published is that our service has a new primary.
    #[must_use]
    pub fn is_switch(&self, channel: &[u8], message: &[u8]) -> bool {
        let mut words = message.split(|byte| *byte == b' ');
        channel == SWITCHES.as_bytes() && words.next() == Some(self.service.as_bytes())
    }
}

/// Says whether the reply to `ROLE` is that of a primary.
#[must_use]
pub fn is_primary(role: &Value) -> bool {
    let Value::Array(parts) = role else { return false };
    parts.first().and_then(Value::text) == Some("master")
}

/// Reads `[host, port]`.
fn address(parts: &[Value], speaker: &Endpoint) -> Option<Endpoint> {
    let [host, port] = parts else { return None };
    Endpoint::said(host.text()?, port.text()?.parse().ok()?, speaker)
}

/// Reads the address out of what a Sentinel says of another one.
fn named(sentinel: &Value, speaker: &Endpoint) -> Option<Endpoint> {
    let said = |name| sentinel.field(name).and_then(Value::text);
    Endpoint::said(said("ip")?, said("port")?.parse().ok()?, speaker)
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
    fn who_knows_the_primary_is_asked_first_from_then_on() {
        let mut sentinels = sentinels();
        assert_eq!(sentinels.answered(&sentinel(1), &[Value::Nil]), None);
        let primary = Value::Array(vec![bulk("10.0.0.1"), bulk("6379")]);
        let third = vec![(bulk("ip"), bulk("s")), (bulk("port"), bulk("3"))];
        let fourth = vec![bulk("name"), bulk("x"), bulk("ip"), bulk("s"), bulk("port"), bulk("4")];
        let others = Value::Array(vec![Value::Map(third), Value::Array(fourth), Value::Nil]);
        let found = sentinels.answered(&sentinel(2), &[primary, others]);
        assert_eq!(found, Some(Endpoint::new("10.0.0.1", 6379)));
        assert_eq!(sentinels.known(), [2, 1, 3, 4].map(sentinel));
    }

    #[test]
    fn a_switch_is_told_from_those_of_other_services() {
        let sentinels = sentinels();
        let is_switch = |message: &str| sentinels.is_switch(b"+switch-master", message.as_bytes());
        assert!(is_switch("main 127.0.0.1 1 127.0.0.1 2"));
        assert!(!is_switch("mainly 127.0.0.1 1 127.0.0.1 2"));
        assert!(!is_switch(""));
        assert!(!sentinels.is_switch(b"+sdown", b"main"));
    }

    #[test]
    fn a_role_is_read() {
        assert!(is_primary(&Value::Array(vec![bulk("master"), Value::Integer(0)])));
        assert!(!is_primary(&Value::Array(vec![bulk("slave")])));
        assert!(!is_primary(&Value::Array(vec![])));
        assert!(!is_primary(&Value::Nil));
    }
}
