//! Lua scripts: sent by hash (`EVALSHA`), and by text (`EVAL`) where the server replies
//! `NOSCRIPT`.

use std::time::Duration;

use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::resp::{Command, Value};
use sha1::{Digest, Sha1};

use super::{RedisClient, Reply};
use crate::connection::Request;

/// A Lua script, sent by its hash, and by its text to a server that doesn't know it.
///
/// ```no_run
/// # async fn example(redis: hotshelf_redis::RedisClient) -> Result<(), hotshelf_core::Error> {
/// use hotshelf_redis::Script;
///
/// let add = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
/// let sum = redis.run_script(&add, &["sum"], &["5"]).await?.integer()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Script {
    text: String,
    hash: String,
}

/// What RESP adds to an argument, in bytes: less than this.
const AROUND: usize = 16;

/// One call of a script.
pub(crate) struct ScriptCall<'a> {
    script: &'a Script,
    /// The call by hash.
    request: Request,
}

impl Script {
    /// Creates a script from its text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let hash = Sha1::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, hash }
    }

    /// Returns the SHA-1 hash by which a server identifies the script.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Creates a call on keys.
    pub(crate) fn call<K: AsRef<[u8]>>(&self, keys: &[K]) -> ScriptCall<'_> {
        self.call_with_room(keys, 0)
    }

    /// Creates a call on keys, with room for arguments of so many bytes beyond the usual.
    pub(crate) fn call_with_room<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        bytes: usize,
    ) -> ScriptCall<'_> {
        let room = keys.iter().map(|key| key.as_ref().len() + AROUND).sum::<usize>() + bytes;
        let command = Command::with_room("EVALSHA", room + self.hash.len());
        let command = command.arg(&self.hash).number(keys.len() as u64);
        ScriptCall { script: self, request: command.args(keys).into() }
    }

    /// Returns the call by text that is equivalent to a call by hash.
    fn by_text(&self, by_hash: &Request) -> Request {
        // The number of keys, the keys and the arguments are the same in both.
        let rest = by_hash.command.arguments().skip(2);
        let command = Command::new("EVAL").arg(&self.text).args(rest);
        Request { command, ..by_hash.clone() }
    }
}

impl ScriptCall<'_> {
    /// Appends an argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<[u8]>) -> Self {
        self.request.command = self.request.command.arg(argument);
        self
    }

    /// Appends a duration in milliseconds, at least one.
    pub(crate) fn millis(self, duration: Duration) -> Self {
        self.millis_or_zero(duration.max(Duration::from_millis(1)))
    }

    /// Appends a duration in milliseconds.
    pub(crate) fn millis_or_zero(mut self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.request.command = self.request.command.number(millis);
        self
    }

    /// Asks the server to report changes of the keys that the script reads.
    pub(crate) fn tracked(mut self) -> Self {
        self.request.tracked = true;
        self
    }

    /// Reads the server's clock from the answer, in milliseconds, where it tells it.
    pub(crate) fn reads_clock(mut self, read: fn(&Value) -> Option<u64>) -> Self {
        self.request.clock = Some(read);
        self
    }
}

impl RedisClient {
    /// Runs a script on keys, which in a Cluster have to be in one slot.
    ///
    /// Costs one round trip, or two if the server doesn't know the script.
    ///
    /// # Errors
    /// Same as [`RedisClient::command`].
    ///
    /// # Cancel safety
    /// Same as [`RedisClient::command`].
    pub async fn run_script<K: AsRef<[u8]>, A: AsRef<[u8]>>(
        &self,
        script: &Script,
        keys: &[K],
        arguments: &[A],
    ) -> Result<Reply, Error> {
        let call = arguments.iter().fold(script.call(keys), ScriptCall::arg);
        self.run_call(call, self.store_timeout).await.ok()
    }

    /// Runs a script like [`run_scripts`](Self::run_scripts).
    pub(crate) async fn run_call(&self, call: ScriptCall<'_>, timeout: Duration) -> Reply {
        let ScriptCall { script, request } = call;
        let reply = self.reply_to(&request, timeout).await;
        match is_unknown(&reply) {
            true => self.reply_to(&script.by_text(&request), timeout).await,
            false => reply,
        }
    }

    /// Sends a command and runs a script behind it, in one round trip.
    pub(crate) async fn run_behind(
        &self,
        first: Request,
        call: ScriptCall<'_>,
        timeout: Duration,
    ) -> [Reply; 2] {
        let requests = [first, call.request];
        let mut replies = self.send_all(&requests, timeout).await.into_iter();
        let [first, mut ran] = [(); 2].map(|()| replies.next().unwrap_or(Reply::Nil));
        if is_unknown(&ran) {
            ran = self.reply_to(&call.script.by_text(&requests[1]), timeout).await;
        }
        [first, ran]
    }

    /// Runs scripts in one round trip. Those that their server didn't know are sent again by
    /// text, in a second round trip: they were not executed before.
    pub(crate) async fn run_scripts(
        &self,
        calls: Vec<ScriptCall<'_>>,
        timeout: Duration,
    ) -> Vec<Reply> {
        let (scripts, by_hash): (Vec<_>, Vec<_>) =
            calls.into_iter().map(|call| (call.script, call.request)).unzip();
        let mut replies = self.send_all(&by_hash, timeout).await;
        let unknown: Vec<usize> =
            (0..replies.len()).filter(|&index| is_unknown(&replies[index])).collect();
        let by_text: Vec<Request> =
            unknown.iter().map(|&index| scripts[index].by_text(&by_hash[index])).collect();
        for (index, reply) in unknown.into_iter().zip(self.send_all(&by_text, timeout).await) {
            replies[index] = reply;
        }
        replies
    }
}

/// Returns `true` if the server didn't know a script.
fn is_unknown(reply: &Reply) -> bool {
    match reply {
        Reply::Error(error) => error.kind() == ErrorKind::NoScript,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_by_text_repeats_the_arguments() {
        let script = Script::new("return 1");
        assert_eq!(script.hash(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        let call = script.call(&["k", "l"]).tracked().arg("a\r\n").millis(Duration::ZERO);
        let arguments = |request: &Request| {
            let words = request.command.arguments().map(|word| word.escape_ascii().to_string());
            words.collect::<Vec<_>>()
        };
        let tail = ["2", "k", "l", r"a\r\n", "1"];
        assert_eq!(arguments(&call.request), [&["EVALSHA", script.hash()][..], &tail].concat());
        let by_text = script.by_text(&call.request);
        assert_eq!(arguments(&by_text), [&["EVAL", "return 1"][..], &tail].concat());
        assert!(by_text.tracked);
    }
}
