//! The protocol's scripts, and how they are sent.

use std::sync::LazyLock;
use std::time::Duration;

use hotshelf_core::Error;
use hotshelf_wire::resp::Command;
use sha1::{Digest, Sha1};

use crate::client::{RedisClient, only};
use crate::errors;
use crate::reply::Reply;

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
}

impl LuaScript {
    /// Prepares a call.
    pub(crate) fn on<K: AsRef<[u8]>>(&'static self, keys: &[K]) -> Invocation {
        let keys = keys.iter().map(|key| key.as_ref().to_vec()).collect();
        Invocation { script: self, keys, arguments: Vec::new() }
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

    fn by_hash(&self) -> Command {
        self.command("EVALSHA", &self.script.hash)
    }

    fn by_text(&self) -> Command {
        self.command("EVAL", self.script.text)
    }

    fn command(&self, name: &str, script: &str) -> Command {
        let command = Command::new(name).arg(script).number(self.keys.len() as u64);
        command.args(&self.keys).args(&self.arguments)
    }
}

impl RedisClient {
    /// Calls scripts in one round trip, and in a second one, within the same deadline,
    /// those that the server didn't know. That a script is unknown means that it was not
    /// executed, so that sending it again is no repetition.
    ///
    /// Where an ACL forbids scripts, each answers that; the cache goes on without: it
    /// reads and invalidates, and stores nothing.
    pub(crate) async fn call(
        &self,
        calls: &[Invocation],
        timeout: Duration,
    ) -> Result<Vec<Reply>, Error> {
        let deadline = self.deadline(timeout);
        let by_hash: Vec<Command> = calls.iter().map(Invocation::by_hash).collect();
        let mut replies = self.send_all(&by_hash, deadline).await?;

        let unknown: Vec<usize> =
            (0..replies.len()).filter(|&at| is_unknown(&replies[at])).collect();
        let by_text: Vec<Command> = unknown.iter().map(|&at| calls[at].by_text()).collect();
        for (at, reply) in unknown.into_iter().zip(self.send_all(&by_text, deadline).await?) {
            replies[at] = reply;
        }
        if let Some(error) = replies.iter().find_map(forbidden) {
            self.warn_of_acl(error);
        }
        Ok(replies)
    }

    /// Calls one script.
    pub(crate) async fn call_one(
        &self,
        call: Invocation,
        timeout: Duration,
    ) -> Result<Reply, Error> {
        only(self.call(&[call], timeout).await?)
    }
}

/// Gives the name under which a server keeps a script.
fn hash_of(text: &str) -> String {
    Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_unknown(reply: &Reply) -> bool {
    let Reply::Error(error) = reply else { return false };
    errors::server_error(error).is_some_and(|error| error.code() == b"NOSCRIPT")
}

fn forbidden(reply: &Reply) -> Option<&Error> {
    match reply {
        Reply::Error(error) if errors::is_acl(error) => Some(error),
        _ => None,
    }
}
