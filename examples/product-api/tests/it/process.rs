//! Tests of the program: its output, its service and its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const PASSWORD: &str = "s3cret";

/// Kills the program if a test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program that serves, and what it has printed.
struct Served {
    program: Running,
    stdout: BufReader<ChildStdout>,
    first_line: String,
    address: String,
}

fn serve(settings: &[(&str, &str)]) -> Served {
    let child = Command::new(env!("CARGO_BIN_EXE_product-api"))
        .env("ADDRESS", "127.0.0.1:0")
        .env_remove("DATABASE_URL")
        .env_remove("REDIS_URL")
        .envs(settings.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut program = Running(child);
    let mut stdout = BufReader::new(program.0.stdout.take().unwrap());
    let mut first_line = String::new();
    stdout.read_line(&mut first_line).unwrap();
    let address = first_line.split_once("http://").unwrap().1.split(' ').next().unwrap().to_owned();
    Served { program, stdout, first_line, address }
}

impl Served {
    /// Sends SIGTERM, and waits for the end of the program.
    fn terminate(&mut self) {
        let pid = self.program.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.program.0.wait().unwrap().success());
    }
}

#[test]
fn program_serves_until_stopped() {
    let url = format!("redis://:{PASSWORD}@127.0.0.1:1");
    let mut served = serve(&[("REDIS_URL", &url)]);
    assert!(fetch(&served.address, "/products/1").starts_with("HTTP/1.1 200"));
    assert!(fetch(&served.address, "/health").contains("degraded"));

    served.terminate();
    let mut printed = served.first_line;
    served.stdout.read_to_string(&mut printed).unwrap();
    served.program.0.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
    assert!(printed.contains("/docs") && printed.contains("cache: redis"), "{printed}");
    assert!(!printed.contains(PASSWORD), "{printed}");
}

/// Browsers keep the connections open over which ten pages poll.
#[test]
#[expect(clippy::disallowed_methods, reason = "a shutdown takes real time")]
fn open_admin_pages_delay_no_shutdown() {
    let mut served = serve(&[("ADMIN", "open")]);
    let page = |_| {
        let mut page = TcpStream::connect(&served.address).unwrap();
        write!(page, "GET /admin/api/state HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut begin = [0; 12];
        page.read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
        page
    };
    let pages: Vec<TcpStream> = (0..10).map(page).collect();
    let began = Instant::now();
    served.terminate();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(pages);
}

fn fetch(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
