//! Received bytes that are not decoded yet.

use bytes::BytesMut;

/// The minimum free space of a buffer that is read into.
const LEAST: usize = 64 << 10;

/// The usual capacity of a buffer. One with a larger value grows.
const ROOM: usize = 256 << 10;

/// The maximum capacity of a buffer that is kept when it is empty.
const KEPT: usize = 16 << 20;

/// The maximum number of spare buffers.
const SPARE: usize = 3;

/// The current read buffer and spare ones.
///
/// Large values are slices of the buffer that they were read into, which can be reused only
/// after they were dropped. Until then spare buffers are used: allocating a new one each time
/// would cost more than all other work for a value.
#[derive(Debug, Default)]
pub(super) struct Input {
    buffer: BytesMut,
    /// The size of its allocation. One that has grown is not kept as a spare one.
    allocated: usize,
    /// Empty buffers of the usual capacity. Values in them may still be in use.
    spare: Vec<BytesMut>,
}

impl Input {
    /// Returns the current buffer, with room for at least 64 KiB.
    pub(super) fn with_room(&mut self) -> &mut BytesMut {
        let is_outsize = self.buffer.is_empty() && self.allocated > KEPT;
        if is_outsize || self.buffer.capacity() - self.buffer.len() < LEAST {
            self.make_room();
        }
        &mut self.buffer
    }

    /// Returns the current buffer.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    fn make_room(&mut self) {
        if self.allocated == ROOM && self.buffer.try_reclaim(LEAST) {
            return;
        }
        let needed = self.buffer.len() + LEAST;
        // Doubled each time: otherwise a value in many pieces would be copied for each one.
        let allocated = if needed <= ROOM { ROOM } else { 2 * needed };
        let mut next = match self.spare.iter_mut().position(|spare| spare.try_reclaim(needed)) {
            Some(free) => self.spare.swap_remove(free),
            None => BytesMut::with_capacity(allocated),
        };
        next.extend_from_slice(&self.buffer);
        let mut full = std::mem::replace(&mut self.buffer, next);
        let before = std::mem::replace(&mut self.allocated, allocated);
        if before == ROOM && self.spare.len() < SPARE {
            full.clear();
            self.spare.push(full);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Reads some bytes, and returns them as a slice of the buffer.
    fn read(input: &mut Input, length: usize) -> Bytes {
        for _ in 0..length.div_ceil(LEAST) {
            let piece = LEAST.min(length - input.buffer().len());
            input.with_room().extend_from_slice(&vec![7; piece]);
        }
        input.buffer().split_to(length).freeze()
    }

    #[test]
    fn unused_buffer_is_reused() {
        let mut input = Input::default();
        let first = read(&mut input, LEAST).as_ptr() as usize;
        for _ in 0..100 {
            let next = read(&mut input, LEAST).as_ptr() as usize;
            assert!((first..first + ROOM).contains(&next));
        }
        assert!(input.spare.is_empty());
    }

    #[test]
    fn live_values_are_not_overwritten() {
        let mut input = Input::default();
        let values: Vec<_> = (0..100).map(|_| read(&mut input, LEAST)).collect();
        assert!(values.iter().all(|value| value.iter().all(|byte| *byte == 7)));
        assert_eq!(input.spare.len(), SPARE);
        drop(values);
        for _ in 0..100 {
            read(&mut input, LEAST);
            assert_eq!(input.spare.len(), SPARE);
        }
    }

    #[test]
    fn huge_buffer_is_given_back() {
        let mut input = Input::default();
        drop(read(&mut input, 2 * KEPT));
        assert!(input.with_room().capacity() <= ROOM);
    }

    #[test]
    fn large_values_are_copied_rarely() {
        let mut input = Input::default();
        let mut moves = 0;
        let mut before = std::ptr::null();
        let length = 64 * ROOM;
        while input.buffer().len() < length {
            input.with_room().extend_from_slice(&[7; LEAST]);
            moves += u32::from(std::mem::replace(&mut before, input.buffer().as_ptr()) != before);
        }
        assert!(moves < 12, "{moves}");
        drop(input.buffer().split_to(length));
        while input.allocated != ROOM {
            drop(read(&mut input, LEAST));
        }
        assert!(input.spare.len() <= SPARE && input.buffer.capacity() <= ROOM);
    }
}
