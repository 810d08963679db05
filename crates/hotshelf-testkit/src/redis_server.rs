//! A real `redis-server` for one test.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::ports::Port;
use crate::process::{self, Process};
use crate::resp::{self, Reply};

/// The default program.
pub(crate) const REDIS: &str = "redis-server";

/// A `redis-server` on a free loopback port, in a directory of its own, without persistence.
/// It is killed when this handle is dropped or the test process ends.
pub struct RedisServer {
    /// `None` while the server is killed. Dropped before its directory.
    process: Option<Process>,
    server_dir: ServerDir,
    program: PathBuf,
    /// The complete arguments of the program.
    arguments: Vec<String>,
    password: Option<String>,
}

/// The directory and the port of a server, kept while it is killed.
pub(crate) struct ServerDir {
    port: Port,
    directory: TempDir,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// If `redis-server` is not installed or does not start.
    pub fn start() -> io::Result<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with additional arguments, e.g. `["--requirepass", "secret"]`.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub fn start_with(arguments: &[&str]) -> io::Result<Self> {
        Self::start_program(REDIS, arguments)
    }

    /// Starts another program with the command line of `redis-server`, e.g. that of
    /// [`valkey_server`](crate::valkey_server).
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub fn start_program(program: impl AsRef<Path>, arguments: &[&str]) -> io::Result<Self> {
        let server_dir = ServerDir::new()?;
        let mut line = Vec::new();
        for (name, value) in server_dir.settings() {
            line.extend([format!("--{name}"), value]);
        }
        let given = ["--save", "", "--appendonly", "no"].iter().chain(arguments);
        line.extend(given.map(|&argument| argument.to_owned()));
        let password = arguments.windows(2).find(|pair| pair[0] == "--requirepass");
        Self::launch(server_dir, program.as_ref(), line, password.map(|pair| pair[1]))
    }

    /// Starts a program with a command line that contains all of [`ServerDir::settings`].
    pub(crate) fn launch(
        server_dir: ServerDir,
        program: &Path,
        arguments: Vec<String>,
        password: Option<&str>,
    ) -> io::Result<Self> {
        let (program, password) = (program.to_owned(), password.map(str::to_owned));
        let mut server = Self { process: None, server_dir, program, arguments, password };
        server.restart()?;
        Ok(server)
    }

    /// Returns the URL to connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server_dir.port.number()
    }

    /// Returns the path of the server's Unix socket.
    #[must_use]
    pub fn socket(&self) -> String {
        self.server_dir.socket()
    }

    /// Sends a command on a new connection, with the password if there is one.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn command<A: AsRef<[u8]>>(&self, arguments: &[A]) -> Reply {
        self.try_command(arguments).expect("no reply from the server")
    }

    /// Sends a command and returns the reply as `redis-cli` prints it.
    ///
    /// # Panics
    /// If the server does not answer.
    #[must_use]
    pub fn cli(&self, arguments: &[&str]) -> String {
        self.command(arguments).to_text()
    }

    /// Kills the server (SIGKILL). Its data is lost.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Restarts a killed server on its old port.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        let directory = self.server_dir.directory.path();
        let (program, port) = (&self.program, self.port());
        self.process = Some(Process::start(program, port, &self.arguments, directory)?);
        Ok(())
    }

    /// Pauses the server (SIGSTOP): connections stay open, but it does not answer.
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn pause(&self) {
        if let Some(process) = &self.process {
            process.pause();
        }
    }

    /// Resumes a paused server.
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn resume(&self) {
        if let Some(process) = &self.process {
            process.resume();
        }
    }

    /// Returns `true` unless the server was killed or paused.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(|process| !process.is_paused())
    }

    /// Returns its host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// Sends a command given as words separated by spaces. An error reply is an error.
    pub(crate) fn execute(&self, words: &str) -> io::Result<Reply> {
        let arguments: Vec<_> = words.split_whitespace().collect();
        match self.try_command(&arguments)? {
            Reply::Error(text) => Err(io::Error::other(format!("{words}: {text}"))),
            reply => Ok(reply),
        }
    }

    fn try_command<A: AsRef<[u8]>>(&self, arguments: &[A]) -> io::Result<Reply> {
        resp::command(self.port(), self.password(), arguments)
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisServer").field("port", &self.port()).finish_non_exhaustive()
    }
}

impl ServerDir {
    pub(crate) fn new() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("hotshelf-redis-").tempdir()?;
        Ok(Self { port: Port::reserve()?, directory })
    }

    /// Returns the server's settings for this directory and port, by name.
    pub(crate) fn settings(&self) -> [(&'static str, String); 4] {
        let pid_file = process::pid_file(self.directory.path()).display().to_string();
        [
            ("port", self.port.number().to_string()),
            ("bind", "127.0.0.1".to_owned()),
            ("unixsocket", self.socket()),
            ("pidfile", pid_file),
        ]
    }

    /// Writes a file into the directory, which is the server's working directory.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        std::fs::write(self.directory.path().join(name), text)
    }

    fn socket(&self) -> String {
        self.directory.path().join("redis.sock").display().to_string()
    }
}
