//! Counting round trips.
#![expect(clippy::unwrap_used, reason = "part of a test")]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// A relay between a client and its server that counts round trips.
///
/// Everything that a client sends before it waits is one round trip.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    turns: Arc<AtomicU32>,
}

/// A peer that is silent for this long has sent everything.
const SILENCE: Duration = Duration::from_millis(40);

impl Relay {
    /// Starts a relay to a server on this machine.
    ///
    /// # Panics
    /// If there is no free port.
    #[must_use]
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let turns = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&turns);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                let turns = Arc::clone(&counted);
                thread::spawn(move || relay(client, server, &turns));
            }
        });
        Self { port, turns }
    }

    /// Returns the URL of the server behind the relay.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns the number of round trips since the last call.
    #[must_use]
    pub fn take(&self) -> u32 {
        self.turns.swap(0, Ordering::SeqCst)
    }
}

fn relay(mut client: TcpStream, mut server: TcpStream, turns: &AtomicU32) -> io::Result<()> {
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
    }
    loop {
        let request = all(&mut client)?;
        if !request.is_empty() {
            turns.fetch_add(1, Ordering::SeqCst);
            server.write_all(&request)?;
        }
        let answer = all(&mut server)?;
        client.write_all(&answer)?;
    }
}

/// Reads until the peer is silent.
fn all(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(all),
            Err(error) => return Err(error),
        }
    }
}
