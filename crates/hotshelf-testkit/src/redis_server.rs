//! A real `redis-server` for one test.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::resp::{self, Reply};

/// A `redis-server` on a free loopback port, in a directory of its own, without
/// persistence. It dies with this handle, and also with the test process.
pub struct RedisServer {
    port: u16,
    arguments: Vec<String>,
    directory: TempDir,
    /// `None` while the server is killed.
    process: Option<Process>,
}

/// The shell that holds the server: once its standard input closes, be it because this
/// process was killed, it kills the server too.
struct Process {
    shell: Child,
    server: String,
}

const HOLDER: &str = r#""$@" & server=$!; read -r _; kill -9 $server"#;

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// If `redis-server` is not installed or doesn't come up.
    pub fn start() -> io::Result<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with more arguments, say `["--requirepass", "secret"]`.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub fn start_with(arguments: &[&str]) -> io::Result<Self> {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        let directory = tempfile::Builder::new().prefix("hotshelf-redis-").tempdir()?;
        // Somebody else may take the port between our look and the server's start.
        let mut attempts = 0;
        loop {
            attempts += 1;
            let port = free_port()?;
            match Process::start(port, &arguments, &directory) {
                Ok(process) => {
                    return Ok(Self { port, arguments, directory, process: Some(process) });
                }
                Err(error) if attempts == 5 => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Gives the URL to connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Gives the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Gives the path of the server's Unix socket.
    #[must_use]
    pub fn socket(&self) -> String {
        socket(&self.directory)
    }

    /// Sends a command on a connection of its own.
    ///
    /// # Panics
    /// If the server doesn't answer.
    pub fn command<A: AsRef<[u8]>>(&self, arguments: &[A]) -> Reply {
        resp::command(self.port, arguments).expect("the server answers")
    }

    /// Sends a command and shows the answer as `redis-cli` does.
    ///
    /// # Panics
    /// If the server doesn't answer.
    #[must_use]
    pub fn cli(&self, arguments: &[&str]) -> String {
        self.command(arguments).to_text()
    }

    /// Kills the server (SIGKILL). Its data is lost.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts a killed server again on its old port.
    ///
    /// # Errors
    /// If it doesn't come up.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        self.process = Some(Process::start(self.port, &self.arguments, &self.directory)?);
        Ok(())
    }

    /// Stops the server in its tracks (SIGSTOP): connections stay open, nothing answers.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets a paused server go on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        if let Some(process) = &self.process {
            let kill = format!("kill -{name} {}", process.server);
            let _ = Command::new("sh").args(["-c", &kill]).status();
        }
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisServer").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Process {
    fn start(port: u16, arguments: &[String], directory: &TempDir) -> io::Result<Self> {
        let port_text = port.to_string();
        let mut shell = Command::new("sh")
            .args(["-c", HOLDER, "sh", "redis-server", "--port", &port_text])
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--unixsocket", &socket(directory)])
            .arg("--pidfile")
            .arg(pid_file(directory))
            .args(arguments)
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        match wait_until_up(port).and_then(|()| std::fs::read_to_string(pid_file(directory))) {
            Ok(server) => Ok(Self { shell, server }),
            Err(error) => {
                drop(shell.stdin.take());
                shell.wait()?;
                let hint = format!("redis-server didn't come up on port {port}: {error}");
                Err(io::Error::new(error.kind(), hint))
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A stopped process is killed all the same.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// Waits until the server answers at all, be it that it wants a password.
#[expect(clippy::disallowed_methods, reason = "a real process comes up in real time")]
fn wait_until_up(port: u16) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match resp::command(port, &["PING"]) {
            Ok(_) => return Ok(()),
            Err(error) if start.elapsed() > Duration::from_secs(10) => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn pid_file(directory: &TempDir) -> PathBuf {
    directory.path().join("redis.pid")
}

fn socket(directory: &TempDir) -> String {
    directory.path().join("redis.sock").display().to_string()
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
