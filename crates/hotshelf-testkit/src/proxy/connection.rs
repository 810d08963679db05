//! A client's connection and its counterpart to the server.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::conditions::{Conditions, Direction};
use super::pipe::Pipe;

pub(super) struct Connection {
    ends: Arc<Ends>,
    threads: Vec<JoinHandle<()>>,
}

struct Ends {
    client: TcpStream,
    server: TcpStream,
    /// By the index of the direction.
    pipes: [Pipe; 2],
}

impl Connection {
    pub(super) fn start(
        client: TcpStream,
        server: TcpStream,
        conditions: [Conditions; 2],
        seed: u64,
    ) -> Self {
        for stream in [&client, &server] {
            // If this fails, the bytes are only delivered in fewer packets.
            let _ = stream.set_nodelay(true);
        }
        let [to_server, to_client] = conditions;
        let pipes = [Pipe::new(to_server, seed), Pipe::new(to_client, !seed)];
        let ends = Arc::new(Ends { client, server, pipes });
        let mut threads = Vec::new();
        for direction in [Direction::ToServer, Direction::ToClient] {
            let shared = Arc::clone(&ends);
            threads.push(thread::spawn(move || shared.read(direction)));
            let shared = Arc::clone(&ends);
            threads.push(thread::spawn(move || shared.write(direction)));
        }
        Self { ends, threads }
    }

    pub(super) fn set(&self, direction: Direction, conditions: Conditions) {
        self.ends.pipe(direction).set(conditions);
    }

    pub(super) fn bytes(&self, direction: Direction) -> u64 {
        self.ends.pipe(direction).delivered()
    }

    pub(super) fn freeze(&self) {
        self.ends.pipes.iter().for_each(Pipe::freeze);
    }

    pub(super) fn half_close(&self, direction: Direction) {
        self.ends.pipe(direction).close();
        let _ = self.ends.receiver(direction).shutdown(Shutdown::Write);
    }

    pub(super) fn cut(&self) {
        self.ends.close();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits until all threads have ended, as they do after [`Connection::cut`].
    pub(super) fn join(self) {
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

impl Ends {
    fn read(&self, direction: Direction) {
        let sender = match direction {
            Direction::ToServer => &self.client,
            Direction::ToClient => &self.server,
        };
        self.pipe(direction).read_from(sender);
    }

    fn write(&self, direction: Direction) {
        if self.pipe(direction).write_to(self.receiver(direction)).is_err() {
            self.close();
        }
    }

    fn receiver(&self, direction: Direction) -> &TcpStream {
        match direction {
            Direction::ToServer => &self.server,
            Direction::ToClient => &self.client,
        }
    }

    fn pipe(&self, direction: Direction) -> &Pipe {
        &self.pipes[direction.index()]
    }

    fn close(&self) {
        self.pipes.iter().for_each(Pipe::close);
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}
