//! The protocol's scripts, and how they are sent.

use std::sync::LazyLock;
use std::time::Duration;

use hotshelf_core::Error;
use redis::{Cmd, Pipeline, Script};
use tokio::time::Instant;

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
                hash: LazyLock::new(|| Script::new(include_str!($file)).get_hash().to_owned()),
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

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
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
        let mut by_hash = Pipeline::with_capacity(calls.len());
        for call in calls {
            by_hash.add_command(call.command("EVALSHA", &call.script.hash));
        }
        let deadline = Instant::now() + timeout;
        let mut replies = self.send_until(&by_hash, deadline).await?;

        let unknown: Vec<usize> =
            (0..replies.len()).filter(|&at| is_unknown(&replies[at])).collect();
        let mut by_text = Pipeline::with_capacity(unknown.len());
        for &at in &unknown {
            by_text.add_command(calls[at].command("EVAL", calls[at].script.text));
        }
        for (at, reply) in unknown.into_iter().zip(self.send_until(&by_text, deadline).await?) {
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

fn is_unknown(reply: &Reply) -> bool {
    driver_error(reply).is_some_and(|error| error.code() == Some("NOSCRIPT"))
}

fn forbidden(reply: &Reply) -> Option<&Error> {
    let Reply::Error(error) = reply else { return None };
    driver_error(reply).is_some_and(errors::is_forbidden).then_some(error)
}

fn driver_error(reply: &Reply) -> Option<&redis::RedisError> {
    let Reply::Error(error) = reply else { return None };
    std::error::Error::source(error).and_then(|source| source.downcast_ref())
}
