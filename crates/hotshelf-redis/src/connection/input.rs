//! What was read from a server and is not decoded yet.

use bytes::BytesMut;

/// How much room there is to read into at least.
const LEAST: usize = 64 << 10;

/// How much a buffer holds, unless a single value is larger.
const ROOM: usize = 256 << 10;

/// How many buffers are kept beside the one that is read into.
const SPARE: usize = 3;

/// The buffer that is read into, and those that come after it.
///
/// Large values are slices of the buffer that they were read into, so that it can be read
/// into again only when they are gone. Until then others take turns: to have the system make
/// memory anew for each would cost more than all else that is done for a value.
#[derive(Debug, Default)]
pub(super) struct Input {
    buffer: BytesMut,
    /// Whether the buffer is of the usual size. One that has grown for a value is not kept.
    is_usual: bool,
    /// Empty buffers of the usual size, of whose values some may still be there.
    spare: Vec<BytesMut>,
}

impl Input {
    /// Gives what was read and not decoded. There is room for 64 KiB behind it at least.
    pub(super) fn with_room(&mut self) -> &mut BytesMut {
        if self.buffer.capacity() - self.buffer.len() < LEAST {
            self.make_room();
        }
        &mut self.buffer
    }

    /// Gives what was read and not decoded.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    fn make_room(&mut self) {
        if self.is_usual && self.buffer.try_reclaim(LEAST) {
            return;
        }
        let needed = self.buffer.len() + LEAST;
        let is_usual = needed <= ROOM;
        let mut next = match self.spare.iter_mut().position(|spare| spare.try_reclaim(needed)) {
            Some(free) => self.spare.swap_remove(free),
            None if is_usual => BytesMut::with_capacity(ROOM),
            // Twice as much each time, or a value of many pieces would be copied for each.
            None => BytesMut::with_capacity(2 * needed),
        };
        next.extend_from_slice(&self.buffer);
        let mut full = std::mem::replace(&mut self.buffer, next);
        if std::mem::replace(&mut self.is_usual, is_usual) && self.spare.len() < SPARE {
            full.clear();
            self.spare.push(full);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Reads some bytes, and gives them as a value that is a slice of the buffer.
    fn read(input: &mut Input, length: usize) -> Bytes {
        for _ in 0..length.div_ceil(LEAST) {
            let piece = LEAST.min(length - input.buffer().len());
            input.with_room().extend_from_slice(&vec![7; piece]);
        }
        input.buffer().split_to(length).freeze()
    }

    #[test]
    fn a_buffer_whose_values_are_gone_is_read_into_again() {
        let mut input = Input::default();
        let first = read(&mut input, LEAST).as_ptr() as usize;
        for _ in 0..100 {
            let next = read(&mut input, LEAST).as_ptr() as usize;
            assert!((first..first + ROOM).contains(&next));
        }
        assert!(input.spare.is_empty());
    }

    #[test]
    fn values_that_are_kept_are_left_alone_and_few_buffers_are_kept() {
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
    fn a_large_value_is_copied_few_times_and_its_buffer_is_not_kept() {
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
        while !input.is_usual {
            drop(read(&mut input, LEAST));
        }
        assert!(input.spare.len() <= SPARE && input.buffer.capacity() <= ROOM);
    }
}
