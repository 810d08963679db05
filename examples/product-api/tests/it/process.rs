//! Tests of the program: its output, its service and its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

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

#[test]
fn program_serves_until_stopped() {
    let child = Command::new(env!("CARGO_BIN_EXE_product-api"))
        .env("ADDRESS", "127.0.0.1:0")
        .env("REDIS_URL", format!("redis://:{PASSWORD}@127.0.0.1:1"))
        .env_remove("DATABASE_URL")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut program = Running(child);
    let mut stdout = BufReader::new(program.0.stdout.take().unwrap());
    let mut printed = String::new();
    stdout.read_line(&mut printed).unwrap();
    let address = printed.split_once("http://").unwrap().1.split(' ').next().unwrap().to_owned();

    assert!(fetch(&address, "/products/1").starts_with("HTTP/1.1 200"));
    assert!(fetch(&address, "/health").contains("degraded"));

    let pid = program.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(program.0.wait().unwrap().success());
    stdout.read_to_string(&mut printed).unwrap();
    program.0.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
    assert!(printed.contains("/docs") && printed.contains("cache: redis"), "{printed}");
    assert!(!printed.contains(PASSWORD), "{printed}");
}

fn fetch(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
