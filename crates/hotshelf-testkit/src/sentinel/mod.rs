//! Real Redis servers monitored by Sentinels, for one test.

mod create;

use std::fmt;
use std::io;
use std::time::Duration;

use crate::replication::replicates;
use crate::wait::wait_for;
use crate::{RedisServer, Reply};

const TIMEOUT: Duration = Duration::from_secs(30);

/// The time after which the Sentinels have abandoned a failover.
const ATTEMPT: Duration = Duration::from_secs(8);

/// The Sentinels' name of the primary and its replicas.
const SERVICE: &str = "main";

/// A primary with two replicas and three Sentinels that replace it when it fails, all on the
/// loopback and without persistence. They are killed when this handle is dropped or the test
/// process ends.
///
/// A server is named by its index; the first primary has index 0. The Sentinels consider a
/// server down that is silent for half a second, and poll more often than by default.
pub struct RedisSentinels {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

/// The passwords that clients need. They are not encoded in URLs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passwords<'a> {
    /// The password of the primary and its replicas.
    pub server: Option<&'a str>,
    /// The password of the Sentinels.
    pub sentinel: Option<&'a str>,
}

impl RedisSentinels {
    /// Starts servers and Sentinels without passwords, and waits as in
    /// [`RedisSentinels::wait_until_ok`].
    ///
    /// # Errors
    /// If `redis-server` is not installed or they do not start.
    pub fn start() -> io::Result<Self> {
        Self::start_with(Passwords::default())
    }

    /// Starts servers and Sentinels with passwords.
    ///
    /// # Errors
    /// As [`RedisSentinels::start`].
    pub fn start_with(passwords: Passwords<'_>) -> io::Result<Self> {
        create::create(passwords)
    }

    /// Starts a Sentinel that was left behind by the others: it names another port as that of
    /// the primary.
    ///
    /// # Errors
    /// As [`RedisSentinels::start`].
    pub fn outdated(port: u16) -> io::Result<RedisServer> {
        create::outdated(port)
    }

    /// Returns the Sentinels' name of the primary and its replicas.
    #[must_use]
    pub fn service(&self) -> &'static str {
        SERVICE
    }

    /// Returns a URL with all Sentinels, the service and the passwords.
    #[must_use]
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.sentinels.iter().map(RedisServer::address).collect();
        let user = self.servers[0].password().map(|password| format!(":{password}@"));
        let query = self.sentinels[0].password().map(|word| format!("?sentinel_password={word}"));
        let (user, query) = (user.unwrap_or_default(), query.unwrap_or_default());
        format!("redis+sentinel://{user}{}/{SERVICE}{query}", addresses.join(","))
    }

    /// Returns all servers, including killed ones.
    #[must_use]
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// Returns all Sentinels, including killed ones.
    #[must_use]
    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// Returns the primary that most running Sentinels name, whether it is running or not.
    ///
    /// # Panics
    /// If there is no such majority within 30 seconds.
    #[must_use]
    pub fn primary(&self) -> &RedisServer {
        &self.servers[self.primary_index()]
    }

    /// Returns the index of [`RedisSentinels::primary`].
    ///
    /// # Panics
    /// As [`RedisSentinels::primary`].
    #[must_use]
    pub fn primary_index(&self) -> usize {
        wait_for("a primary by majority", TIMEOUT, || self.elected())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Fails over from a healthy primary, and returns the index of the new one as
    /// [`RedisSentinels::wait_for_new_primary`] does.
    ///
    /// # Panics
    /// If there is no new primary within 30 seconds.
    pub fn failover(&self) -> usize {
        let before = self.primary_index();
        let attempt = || {
            let sentinel = self.running_sentinels().next().ok_or_else(no_sentinel)?;
            sentinel.execute(&format!("SENTINEL FAILOVER {SERVICE}"))?;
            wait_for("another primary", ATTEMPT, || match self.agreed()? {
                primary if primary == before => Err(io::Error::other("it is still the old one")),
                primary => Ok(primary),
            })
        };
        wait_for("a failover", TIMEOUT, attempt).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Kills the primary (SIGKILL) and returns its index without waiting.
    ///
    /// # Panics
    /// As [`RedisSentinels::primary`].
    pub fn kill_primary(&mut self) -> usize {
        let primary = self.primary_index();
        self.servers[primary].kill();
        primary
    }

    /// Pauses the primary, as [`RedisServer::pause`] does, and returns its index without
    /// waiting.
    ///
    /// # Panics
    /// As [`RedisSentinels::primary`].
    pub fn pause_primary(&self) -> usize {
        let primary = self.primary_index();
        self.servers[primary].pause();
        primary
    }

    /// Resumes a paused server.
    pub fn resume(&self, server: usize) {
        self.servers[server].resume();
    }

    /// Waits until all running Sentinels name the same running server and that server reports
    /// the role of a primary, and returns its index.
    ///
    /// # Panics
    /// If the condition does not hold after 30 seconds.
    pub fn wait_for_new_primary(&self) -> usize {
        wait_for("a running primary", TIMEOUT, || self.agreed())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Kills a server (SIGKILL). Its data is lost.
    pub fn kill(&mut self, server: usize) {
        self.servers[server].kill();
    }

    /// Restarts a killed server in its first role, which the Sentinels then correct. A primary
    /// that is restarted before it was replaced comes back empty.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&mut self, server: usize) -> io::Result<()> {
        self.servers[server].restart()
    }

    /// Kills a Sentinel (SIGKILL).
    pub fn kill_sentinel(&mut self, sentinel: usize) {
        self.sentinels[sentinel].kill();
    }

    /// Restarts a killed Sentinel, which keeps its state.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart_sentinel(&mut self, sentinel: usize) -> io::Result<()> {
        self.sentinels[sentinel].restart()?;
        create::speed_up(&self.sentinels[sentinel])
    }

    /// Waits until the condition of [`RedisSentinels::wait_for_new_primary`] holds, every
    /// other running server replicates from the primary, and every running Sentinel knows all
    /// servers and Sentinels.
    ///
    /// # Panics
    /// If the condition does not hold after 30 seconds.
    pub fn wait_until_ok(&self) {
        self.try_wait_until_ok().unwrap_or_else(|error| panic!("{error}"));
    }

    fn try_wait_until_ok(&self) -> io::Result<()> {
        wait_for("servers and Sentinels", TIMEOUT, || {
            let primary = &self.servers[self.agreed()?];
            let running = self.servers.iter().filter(|server| server.is_running());
            for server in running.filter(|server| server.port() != primary.port()) {
                replicates(server, primary)?;
            }
            self.running_sentinels().try_for_each(|sentinel| self.knows_all(sentinel))
        })
    }

    fn knows_all(&self, sentinel: &RedisServer) -> io::Result<()> {
        let Reply::Array(fields) = sentinel.execute(&format!("SENTINEL MASTER {SERVICE}"))? else {
            return Err(io::Error::other("a Sentinel does not know the service"));
        };
        let others = [
            ("flags", "master".to_owned()),
            ("num-slaves", (self.servers.len() - 1).to_string()),
            ("num-other-sentinels", (self.sentinels.len() - 1).to_string()),
        ];
        for (name, expected) in others {
            let field = fields.chunks(2).find(|field| field[0].to_text() == name);
            if field.is_none_or(|field| field[1].to_text() != expected) {
                return Err(io::Error::other(format!("{name} is {field:?}, not {expected}")));
            }
        }
        Ok(())
    }

    /// Returns the server that all running Sentinels name, if it is running and reports the
    /// role of a primary.
    fn agreed(&self) -> io::Result<usize> {
        let named = self.running_sentinels().map(|sentinel| self.named(sentinel));
        let named = named.collect::<io::Result<Vec<_>>>()?;
        let &primary = named.first().ok_or_else(no_sentinel)?;
        if named.iter().any(|&other| other != primary) {
            return Err(io::Error::other(format!("the Sentinels name {named:?}")));
        }
        let server = &self.servers[primary];
        if !server.is_running() || !server.execute("ROLE")?.to_text().starts_with("master") {
            return Err(io::Error::other(format!("server {primary} is not a primary")));
        }
        Ok(primary)
    }

    /// Returns the server that most running Sentinels name.
    fn elected(&self) -> io::Result<usize> {
        let named: Vec<_> =
            self.running_sentinels().filter_map(|sentinel| self.named(sentinel).ok()).collect();
        let votes = |server: usize| named.iter().filter(|&&name| name == server).count();
        (0..self.servers.len())
            .find(|&server| 2 * votes(server) > named.len())
            .ok_or_else(|| io::Error::other(format!("the Sentinels name {named:?}")))
    }

    fn named(&self, sentinel: &RedisServer) -> io::Result<usize> {
        let address = sentinel.execute(&format!("SENTINEL GET-MASTER-ADDR-BY-NAME {SERVICE}"))?;
        let address = address.to_text().replace('\n', ":");
        let index = self.servers.iter().position(|server| server.address() == address);
        index.ok_or_else(|| io::Error::other(format!("a Sentinel names {address:?}")))
    }

    fn running_sentinels(&self) -> impl Iterator<Item = &RedisServer> {
        self.sentinels.iter().filter(|sentinel| sentinel.is_running())
    }
}

impl fmt::Debug for RedisSentinels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisSentinels")
            .field("servers", &self.servers)
            .field("sentinels", &self.sentinels)
            .finish()
    }
}

fn no_sentinel() -> io::Error {
    io::Error::other("no Sentinel is running")
}
