//! One direction of one connection.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, PoisonError};
use std::time::Instant;

use hotshelf_core::sync::Mutex;

use super::conditions::{Conditions, Delivery};
use crate::random::Random;

/// The number of bytes in flight from which the sender has to wait.
const CAPACITY: usize = 16 << 20;
const CHUNK: usize = 64 << 10;

/// The bytes that were read on one side and not yet written on the other: one thread reads,
/// another writes.
pub(super) struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    conditions: Conditions,
    chunks: VecDeque<Chunk>,
    /// The bytes of all chunks.
    size: usize,
    delivered: u64,
    stream: StreamState,
    /// The time of the next drip.
    next_drip: Option<Instant>,
    random: Random,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StreamState {
    Open,
    /// All bytes and the end of the stream are dropped.
    Silent,
    /// Nothing is delivered any more.
    Closed,
}

/// Bytes as they were read; empty at the end of the stream.
struct Chunk {
    due: Instant,
    bytes: VecDeque<u8>,
}

impl Pipe {
    pub(super) fn new(conditions: Conditions, seed: u64) -> Self {
        let state = State {
            conditions,
            chunks: VecDeque::new(),
            size: 0,
            delivered: 0,
            stream: StreamState::Open,
            next_drip: None,
            random: Random::new(seed),
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn set(&self, conditions: Conditions) {
        let mut state = self.state.lock();
        state.conditions = conditions;
        state.swallow();
        self.changed.notify_all();
    }

    /// Drops all bytes from now on.
    pub(super) fn freeze(&self) {
        self.end(StreamState::Silent);
    }

    /// Stops delivery.
    pub(super) fn close(&self) {
        self.end(StreamState::Closed);
    }

    fn end(&self, stream: StreamState) {
        let mut state = self.state.lock();
        if state.stream != StreamState::Closed {
            state.stream = stream;
        }
        state.discard();
        self.changed.notify_all();
    }

    pub(super) fn delivered(&self) -> u64 {
        self.state.lock().delivered
    }

    /// Reads until the end of the stream, even if nothing is delivered, so that the sender
    /// never notices.
    pub(super) fn read_from(&self, mut stream: &TcpStream) {
        let mut buffer = vec![0; CHUNK];
        loop {
            // To the other side, a broken connection looks like one that has ended.
            let length = stream.read(&mut buffer).unwrap_or(0);
            self.push(&buffer[..length]);
            if length == 0 {
                return;
            }
        }
    }

    /// Writes bytes when they are due, until the pipe ends. Fails if the receiver has
    /// disconnected.
    pub(super) fn write_to(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        while let Some(piece) = self.next_piece() {
            if piece.is_empty() {
                return stream.shutdown(Shutdown::Write);
            }
            if let Err(error) = stream.write_all(&piece) {
                // `close` shuts the stream down, too: this is not an error of the receiver.
                return if self.state.lock().stream == StreamState::Closed {
                    Ok(())
                } else {
                    Err(error)
                };
            }
        }
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "a real network takes real time")]
    fn push(&self, bytes: &[u8]) {
        let full = |state: &mut State| state.stream == StreamState::Open && state.size >= CAPACITY;
        let mut state = self.state.lock();
        state = self.changed.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
        let due = state.due(Instant::now());
        state.size += bytes.len();
        state.chunks.push_back(Chunk { due, bytes: bytes.to_vec().into() });
        state.swallow();
        self.changed.notify_all();
    }

    /// Waits for the next bytes to write. Empty bytes are the end of the stream.
    #[expect(clippy::disallowed_methods, reason = "a real network takes real time")]
    fn next_piece(&self) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        loop {
            if state.stream == StreamState::Closed {
                return None;
            }
            let now = Instant::now();
            match state.next_moment() {
                Some(moment) if moment <= now => {
                    let piece = state.take(now);
                    self.changed.notify_all();
                    return Some(piece);
                }
                Some(moment) => {
                    let waited = self.changed.wait_timeout(state, moment - now);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    let waited = self.changed.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl State {
    /// Returns the time at which a chunk read now is due, never before that of its
    /// predecessors.
    fn due(&mut self, now: Instant) -> Instant {
        let jitter = self.conditions.jitter.mul_f64(self.random.share());
        let due = now + self.conditions.delay + jitter;
        self.chunks.back().map_or(due, |last| due.max(last.due))
    }

    /// Returns the time of the next write, if there is something to write.
    fn next_moment(&self) -> Option<Instant> {
        let chunk = self.chunks.front()?;
        if self.conditions.delivery == Delivery::Hold {
            return None;
        }
        Some(self.next_drip.map_or(chunk.due, |drip| drip.max(chunk.due)))
    }

    /// Takes the part of the first chunk that may be written in one go.
    fn take(&mut self, now: Instant) -> Vec<u8> {
        let Some(chunk) = self.chunks.front_mut() else { return Vec::new() };
        let mut length = chunk.bytes.len();
        if self.conditions.split {
            length = length.min(1);
        }
        if let Some(drip) = self.conditions.drip {
            length = length.min(drip.bytes);
        }
        let piece: Vec<u8> = chunk.bytes.drain(..length).collect();
        if chunk.bytes.is_empty() {
            self.chunks.pop_front();
        }
        self.size -= length;
        self.delivered += length as u64;
        self.next_drip = self.conditions.drip.map(|drip| now + drip.every);
        piece
    }

    /// Drops the chunks if the conditions say so. The stream has a gap from then on.
    fn swallow(&mut self) {
        if self.stream == StreamState::Open
            && self.conditions.delivery == Delivery::Swallow
            && !self.chunks.is_empty()
        {
            self.stream = StreamState::Silent;
        }
        if self.stream != StreamState::Open {
            self.discard();
        }
    }

    fn discard(&mut self) {
        self.chunks.clear();
        self.size = 0;
    }
}
