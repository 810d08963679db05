//! A TCP proxy whose faults tests switch while it runs.

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

/// How long the server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);

/// A TCP proxy on a free loopback port, in front of a server on the loopback. The listener
/// and all connections end with this handle.
///
/// At first it does nothing but forward. What it does to the bytes of each direction is set
/// by [`Proxy::set`], for the connections that are there and those to come. Connecting is
/// never delayed.
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
    /// The bytes that connections which are gone had delivered.
    delivered: [u64; 2],
    connections: Vec<Connection>,
}

impl Proxy {
    /// Starts a proxy in front of the server on this port.
    ///
    /// # Errors
    /// If no port is free.
    pub fn start(server_port: u16) -> io::Result<Self> {
        Self::start_with_seed(server_port, 0)
    }

    /// Starts a proxy whose jitter comes from a seed: the chunks of a connection are delayed
    /// by the same times again, counted by the connections' order and the chunks' order.
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

    /// Gives the port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Gives the URL to connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Counts the connections so far, refused ones not among them. A client takes itself to be
    /// connected a moment before it counts, and is met by [`Proxy::cut`] and the like only
    /// then: a reply is a proof.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.state.lock().accepted
    }

    /// Counts the connections that were refused so far, by [`Proxy::refuse`] or because the
    /// server wasn't there.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.state.lock().refused
    }

    /// Counts the bytes that were delivered in a direction so far.
    #[must_use]
    pub fn bytes(&self, direction: Direction) -> u64 {
        let state = self.shared.state.lock();
        let current = state.connections.iter().map(|connection| connection.bytes(direction));
        state.delivered[direction.index()] + current.sum::<u64>()
    }

    /// Sets what happens to bytes of a direction. What is under way keeps its delay.
    pub fn set(&self, direction: Direction, conditions: Conditions) {
        let mut state = self.shared.state.lock();
        state.conditions[direction.index()] = conditions;
        for connection in &state.connections {
            connection.set(direction, conditions);
        }
    }

    /// Sets what happens to bytes of both directions.
    pub fn set_both(&self, conditions: Conditions) {
        self.set(Direction::ToServer, conditions);
        self.set(Direction::ToClient, conditions);
    }

    /// Forwards all bytes at once again, and what was held. What was swallowed stays lost.
    pub fn clear(&self) {
        self.set_both(Conditions::default());
    }

    /// Closes the connections that exist now, in both directions. What is under way is lost;
    /// either side meets an end or a reset.
    pub fn cut(&self) {
        self.shared.state.lock().cut();
    }

    /// Ends the connections that exist now in one direction: the receiver meets their end and
    /// can still send. What is under way is lost, and what the sender still sends.
    pub fn half_close(&self, direction: Direction) {
        for connection in &self.shared.state.lock().connections {
            connection.half_close(direction);
        }
    }

    /// Closes new connections at once, or ends doing so. Those that exist go on.
    pub fn refuse(&self, refuse: bool) {
        self.shared.state.lock().refuse = refuse;
    }

    /// Silences the connections that exist now for ever: they stay open, and all bytes of
    /// both directions are swallowed, those under way too. New connections work.
    pub fn freeze_connections(&self) {
        for connection in &self.shared.state.lock().connections {
            connection.freeze();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state.lock().stopped = true;
        // The listener looks up when somebody connects.
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
        state.bury(Connection::has_ended);
        // Different connections of a seed, and the same of different seeds, are unlike.
        let seed = self.seed ^ state.accepted.wrapping_mul(0xd134_2543_de82_ef95);
        state.accepted += 1;
        let connection = Connection::start(client, server, state.conditions, seed);
        state.connections.push(connection);
    }
}

impl State {
    fn cut(&mut self) {
        self.connections.iter().for_each(Connection::cut);
        self.bury(|_| true);
    }

    /// Forgets the connections of which this is true and which have ended, or are about to.
    fn bury(&mut self, ended: impl Fn(&Connection) -> bool) {
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
