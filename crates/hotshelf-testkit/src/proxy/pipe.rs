//! One direction of one connection.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, PoisonError};
use std::time::Instant;

use hotshelf_core::sync::Mutex;

use super::conditions::{Conditions, Delivery};
use crate::random::Random;

/// How many bytes may be under way before their sender has to wait.
const CAPACITY: usize = 16 << 20;
const CHUNK: usize = 64 << 10;

/// What was read on one side and is not yet written on the other: one thread reads, another
/// writes.
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
    fate: Fate,
    /// Before this moment no further drip falls.
    next_drip: Option<Instant>,
    random: Random,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    /// All bytes are swallowed, and their end too.
    Silent,
    /// Nothing is to be delivered any more.
    Closed,
}

/// Bytes, or their end if there are none, as reading gives them.
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
            fate: Fate::Open,
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

    /// Swallows all bytes from now on.
    pub(super) fn freeze(&self) {
        self.end(Fate::Silent);
    }

    /// Delivers nothing any more.
    pub(super) fn close(&self) {
        self.end(Fate::Closed);
    }

    fn end(&self, fate: Fate) {
        let mut state = self.state.lock();
        if state.fate != Fate::Closed {
            state.fate = fate;
        }
        state.discard();
        self.changed.notify_all();
    }

    pub(super) fn delivered(&self) -> u64 {
        self.state.lock().delivered
    }

    /// Reads until the stream's end, also where nothing of it is delivered, so that the
    /// sender never notices.
    pub(super) fn read_from(&self, mut stream: &TcpStream) {
        let mut buffer = vec![0; CHUNK];
        loop {
            // A connection that broke has ended, as far as the other side can see.
            let length = stream.read(&mut buffer).unwrap_or(0);
            self.push(&buffer[..length]);
            if length == 0 {
                return;
            }
        }
    }

    /// Writes what is due until there is nothing more to come. Fails if the receiver is gone.
    pub(super) fn write_to(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        while let Some(piece) = self.next_piece() {
            if piece.is_empty() {
                return stream.shutdown(Shutdown::Write);
            }
            if let Err(error) = stream.write_all(&piece) {
                // Who closes the pipe shuts the stream down too: not the receiver's doing.
                return if self.state.lock().fate == Fate::Closed { Ok(()) } else { Err(error) };
            }
        }
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "a real network takes real time")]
    fn push(&self, bytes: &[u8]) {
        let full = |state: &mut State| state.fate == Fate::Open && state.size >= CAPACITY;
        let mut state = self.state.lock();
        state = self.changed.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
        let due = state.due(Instant::now());
        state.size += bytes.len();
        state.chunks.push_back(Chunk { due, bytes: bytes.to_vec().into() });
        state.swallow();
        self.changed.notify_all();
    }

    /// Waits for the next piece that may be written. An empty one is the stream's end.
    #[expect(clippy::disallowed_methods, reason = "a real network takes real time")]
    fn next_piece(&self) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        loop {
            if state.fate == Fate::Closed {
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
    /// Gives the moment at which a chunk is due that is read now: never before its
    /// predecessors.
    fn due(&mut self, now: Instant) -> Instant {
        let jitter = self.conditions.jitter.mul_f64(self.random.share());
        let due = now + self.conditions.delay + jitter;
        self.chunks.back().map_or(due, |last| due.max(last.due))
    }

    /// Gives the moment at which something may be written, if there is something.
    fn next_moment(&self) -> Option<Instant> {
        let chunk = self.chunks.front()?;
        if self.conditions.delivery == Delivery::Hold {
            return None;
        }
        Some(self.next_drip.map_or(chunk.due, |drip| drip.max(chunk.due)))
    }

    /// Takes as much of the first chunk as may be written in one go.
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

    /// Drops the chunks if they are to be swallowed, and remembers that the stream has a hole.
    fn swallow(&mut self) {
        if self.fate == Fate::Open
            && self.conditions.delivery == Delivery::Swallow
            && !self.chunks.is_empty()
        {
            self.fate = Fate::Silent;
        }
        if self.fate != Fate::Open {
            self.discard();
        }
    }

    fn discard(&mut self) {
        self.chunks.clear();
        self.size = 0;
    }
}
