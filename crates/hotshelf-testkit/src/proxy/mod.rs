//! A TCP proxy with faults that tests switch on and off.

mod conditions;
mod connection;
mod pipe;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use conditions::{Conditions, Direction};
use connection::Connection;
use hotshelf_core::sync::Mutex;

/// The time limit for connecting to the server.
const CONNECT: Duration = Duration::from_secs(1);

/// A TCP proxy on a free loopback port, in front of a server on the loopback. The listener and
/// all connections are closed when this handle is dropped.
///
/// It forwards everything until [`Proxy::set`] changes the conditions of a direction, for
/// existing and new connections. Connecting is never delayed.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    server: SocketAddr,
    seed: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    conditions: [Conditions; 2],
    refuse: bool,
    stopped: bool,
    accepted: u64,
    refused: u64,
    /// The bytes that were delivered by connections that have ended.
    delivered: [u64; 2],
    connections: Vec<Connection>,
}

impl Proxy {
    /// Starts a proxy in front of the server on this port.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn start(server_port: u16) -> io::Result<Self> {
        Self::start_with_seed(server_port, 0)
    }

    /// Starts a proxy with seeded jitter: for the same seed, the n-th chunk of the m-th
    /// connection has the same delay.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub fn start_with_seed(server_port: u16, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, server_port));
        let shared = Arc::new(Shared { server, seed, state: Mutex::default() });
        let listening = Arc::clone(&shared);
        let listener = Some(thread::spawn(move || listening.listen(&listener)));
        Ok(Self { port, shared, listener })
    }

    /// Returns the port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL to connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns the number of connections so far, without refused ones. A client may be
    /// connected a moment before its connection counts and is affected by [`Proxy::cut`] and
    /// the like: wait for a reply to be sure.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.state.lock().accepted
    }

    /// Returns the number of connections refused so far, by [`Proxy::refuse`] or because the
    /// server was not running.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.state.lock().refused
    }

    /// Returns the number of bytes delivered in a direction so far.
    #[must_use]
    pub fn bytes(&self, direction: Direction) -> u64 {
        let state = self.shared.state.lock();
        let current = state.connections.iter().map(|connection| connection.bytes(direction));
        state.delivered[direction.index()] + current.sum::<u64>()
    }

    /// Sets the conditions of a direction. Bytes in flight keep their delay.
    pub fn set(&self, direction: Direction, conditions: Conditions) {
        let mut state = self.shared.state.lock();
        state.conditions[direction.index()] = conditions;
        for connection in &state.connections {
            connection.set(direction, conditions);
        }
    }

    /// Sets the conditions of both directions.
    pub fn set_both(&self, conditions: Conditions) {
        self.set(Direction::ToServer, conditions);
        self.set(Direction::ToClient, conditions);
    }

    /// Restores the default conditions, and forwards held bytes. Swallowed bytes stay lost.
    pub fn clear(&self) {
        self.set_both(Conditions::default());
    }

    /// Closes the existing connections in both directions. Bytes in flight are lost; either
    /// side sees an end of stream or a reset.
    pub fn cut(&self) {
        self.shared.state.lock().cut();
    }

    /// Closes the existing connections in one direction: the receiver sees the end of the
    /// stream and can still send. Bytes in flight are lost, and so is anything the sender
    /// still sends.
    pub fn half_close(&self, direction: Direction) {
        for connection in &self.shared.state.lock().connections {
            connection.half_close(direction);
        }
    }

    /// Sets whether new connections are closed immediately. Existing connections are not
    /// affected.
    pub fn refuse(&self, refuse: bool) {
        self.shared.state.lock().refuse = refuse;
    }

    /// Silences the existing connections permanently: they stay open, and all bytes of both
    /// directions are dropped, including those in flight. New connections work.
    pub fn freeze_connections(&self) {
        for connection in &self.shared.state.lock().connections {
            connection.freeze();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state.lock().stopped = true;
        // A connection wakes the listener.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        self.cut();
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Proxy")
            .field("port", &self.port)
            .field("server", &self.shared.server)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn listen(&self, listener: &TcpListener) {
        for client in listener.incoming().flatten() {
            if self.state.lock().stopped {
                return;
            }
            self.accept(client);
        }
    }

    fn accept(&self, client: TcpStream) {
        let refuse = self.state.lock().refuse;
        let server = (!refuse).then(|| TcpStream::connect_timeout(&self.server, CONNECT));
        let mut state = self.state.lock();
        let Some(Ok(server)) = server else {
            state.refused += 1;
            return;
        };
        state.remove_ended(Connection::has_ended);
        // Each connection of each seed has its own jitter.
        let seed = self.seed ^ state.accepted.wrapping_mul(0xd134_2543_de82_ef95);
        state.accepted += 1;
        let connection = Connection::start(client, server, state.conditions, seed);
        state.connections.push(connection);
    }
}

impl State {
    fn cut(&mut self) {
        self.connections.iter().for_each(Connection::cut);
        self.remove_ended(|_| true);
    }

    /// Removes the connections that have ended or are about to.
    fn remove_ended(&mut self, ended: impl Fn(&Connection) -> bool) {
        let (ended, alive) = std::mem::take(&mut self.connections).into_iter().partition(ended);
        self.connections = alive;
        let ended: Vec<Connection> = ended;
        for connection in ended {
            for direction in [Direction::ToServer, Direction::ToClient] {
                self.delivered[direction.index()] += connection.bytes(direction);
            }
            connection.join();
        }
    }
}
