//! A server process that is killed when its handle is dropped.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::resp;
use crate::wait::wait_for;

/// A shell that runs the server. When its standard input closes, also because this process was
/// killed, it kills the server. It exits after the server.
pub(crate) struct Process {
    shell: Child,
    server: String,
    paused: AtomicBool,
}

const WRAPPER: &str = r#"
exec 3<&0
"$@" 3<&- & server=$!
{ read -r _ <&3; kill -9 $server; } & reader=$!
wait $server
kill $reader
"#;
const TIMEOUT: Duration = Duration::from_secs(10);

impl Process {
    /// Starts a program and waits until it answers on the port, even if only to ask for a
    /// password. The arguments must make it write its [`pid_file`].
    pub(crate) fn start(
        program: &Path,
        port: u16,
        arguments: &[String],
        directory: &Path,
    ) -> io::Result<Self> {
        let answers = || resp::command(port, None, &["PING"]).map(drop);
        Self::start_until(answers, program, port, arguments, directory)
    }

    /// Starts a program, and waits until it answers.
    pub(crate) fn start_until(
        answers: impl Fn() -> io::Result<()>,
        program: &Path,
        port: u16,
        arguments: &[String],
        directory: &Path,
    ) -> io::Result<Self> {
        let pid_file = pid_file(directory);
        // The file of a killed process must not be read as that of the new one.
        if pid_file.exists() {
            std::fs::remove_file(&pid_file)?;
        }
        let log_file = directory.join("redis.log");
        let log = File::create(&log_file)?;
        let mut shell = Command::new("sh")
            .args(["-c", WRAPPER, "sh"])
            .arg(program)
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let up = wait_until_up(answers, &mut shell);
        match up.and_then(|()| std::fs::read_to_string(pid_file)) {
            Ok(server) => Ok(Self { shell, server, paused: AtomicBool::new(false) }),
            Err(error) => {
                end(&mut shell);
                let log = std::fs::read_to_string(log_file).unwrap_or_default();
                let program = program.display();
                let text = format!("{program} did not start on port {port}: {error}\n{log}");
                Err(io::Error::new(error.kind(), text))
            }
        }
    }

    pub(crate) fn pause(&self) {
        self.paused.store(true, Ordering::Relaxed);
        self.signal("STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("CONT");
        self.paused.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.server);
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "failed to send SIG{name} to the server"
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A paused process is killed, too.
        end(&mut self.shell);
    }
}

pub(crate) fn pid_file(directory: &Path) -> PathBuf {
    directory.join("redis.pid")
}

fn wait_until_up(answers: impl Fn() -> io::Result<()>, shell: &mut Child) -> io::Result<()> {
    wait_for("a reply", TIMEOUT, || match shell.try_wait()? {
        Some(_) => Ok(Err(io::Error::other("the process exited"))),
        None => answers().map(Ok),
    })?
}

fn end(shell: &mut Child) {
    drop(shell.stdin.take());
    let _ = shell.wait();
}
