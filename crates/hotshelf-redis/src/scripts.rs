//! The protocol's scripts, and how they are sent.

use std::sync::LazyLock;
use std::time::Duration;

use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::resp::Command;
use sha1::{Digest, Sha1};

use crate::client::{RedisClient, Reply};
use crate::connection::Request;

/// A script that is sent by its hash, and by its text if the server doesn't know it.
pub(crate) struct LuaScript {
    text: &'static str,
    hash: LazyLock<String>,
}

macro_rules! scripts {
    ($($name:ident = $file:literal;)+) => {
        $(
            pub(crate) static $name: LuaScript = LuaScript {
                text: include_str!($file),
                hash: LazyLock::new(|| hash_of(include_str!($file))),
            };
        )+
    };
}

scripts! {
    ACQUIRE = "scripts/acquire.lua";
    STORE = "scripts/store.lua";
    TAKE = "scripts/take.lua";
    RELEASE = "scripts/release.lua";
    RENEW = "scripts/renew.lua";
    CAPTURE = "scripts/capture.lua";
}

/// One call of a script.
pub(crate) struct Invocation {
    script: &'static LuaScript,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
    tracked: bool,
}

impl LuaScript {
    /// Prepares a call.
    pub(crate) fn on<K: AsRef<[u8]>>(&'static self, keys: &[K]) -> Invocation {
        let keys = keys.iter().map(|key| key.as_ref().to_vec()).collect();
        Invocation { script: self, keys, arguments: Vec::new(), tracked: false }
    }
}

impl Invocation {
    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<[u8]>) -> Self {
        self.arguments.push(argument.as_ref().to_vec());
        self
    }

    /// Adds a time in milliseconds, at least one.
    pub(crate) fn millis(self, time: Duration) -> Self {
        self.arg(time.as_millis().max(1).to_string())
    }

    /// Asks the server to tell when what the script reads changes.
    pub(crate) fn tracked(mut self) -> Self {
        self.tracked = true;
        self
    }

    fn by_hash(&self) -> Request {
        self.request("EVALSHA", &self.script.hash)
    }

    fn by_text(&self) -> Request {
        self.request("EVAL", self.script.text)
    }

    fn request(&self, name: &str, script: &str) -> Request {
        let command = Command::new(name).arg(script).number(self.keys.len() as u64);
        let command = command.args(&self.keys).args(&self.arguments);
        Request { command, tracked: self.tracked }
    }
}

impl RedisClient {
    /// Calls scripts in one round trip, and in a second one, within the same deadline,
    /// those that the server didn't know. That a script is unknown means that it was not
    /// executed, so that sending it again is no repetition.
    ///
    /// Where an ACL forbids scripts, each answers that; the cache goes on without: it
    /// reads and invalidates, and stores nothing.
    pub(crate) async fn call(&self, calls: &[Invocation], timeout: Duration) -> Vec<Reply> {
        let deadline = self.deadline(timeout);
        let by_hash: Vec<Request> = calls.iter().map(Invocation::by_hash).collect();
        let mut replies = self.send_all(&by_hash, deadline).await;

        let unknown: Vec<usize> =
            (0..replies.len()).filter(|&at| is(&replies[at], ErrorKind::NoScript)).collect();
        let by_text: Vec<Request> = unknown.iter().map(|&at| calls[at].by_text()).collect();
        for (at, reply) in unknown.into_iter().zip(self.send_all(&by_text, deadline).await) {
            replies[at] = reply;
        }
        if let Some(Reply::Error(error)) =
            replies.iter().find(|reply| is(reply, ErrorKind::Permission))
        {
            self.warn_of_acl(error);
        }
        replies
    }

    /// Calls one script.
    pub(crate) async fn call_one(
        &self,
        call: Invocation,
        timeout: Duration,
    ) -> Result<Reply, Error> {
        let replies = self.call(&[call], timeout).await;
        replies.into_iter().next().unwrap_or(Reply::Nil).ok()
    }
}

/// Gives the name under which a server keeps a script.
pub(crate) fn hash_of(text: &str) -> String {
    Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is(reply: &Reply, kind: ErrorKind) -> bool {
    matches!(reply, Reply::Error(error) if error.kind() == kind)
}
