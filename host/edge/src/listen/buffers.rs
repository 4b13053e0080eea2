//! Buffers that the connections of a thread share: the one used last is still in the processor's cache, and an idle
//! connection holds none.

use std::cell::RefCell;

/// What is read at once, in bytes: a head with its target and its fields at their limits, and some more, so that one a
/// little too large gets an answer that says so.
pub(super) const READ_BYTES: usize = 32 * 1024;
/// Free buffers kept of each kind; a thread needs more than one only while requests wait for something.
const FREE_MAX: usize = 64;
/// Output kept for the next connection, in bytes; a larger buffer is given back to the system.
const WRITE_BYTES_KEPT: usize = 64 * 1024;

/// The free buffers of one thread.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    read: RefCell<Vec<Box<[u8]>>>,
    write: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// A buffer of [`READ_BYTES`] with anything in it.
    pub(super) fn take_read(&self) -> Box<[u8]> {
        let free = self.read.borrow_mut().pop();
        free.unwrap_or_else(|| vec![0; READ_BYTES].into_boxed_slice())
    }

    pub(super) fn put_read(&self, buffer: Box<[u8]>) {
        let mut free = self.read.borrow_mut();
        if free.len() < FREE_MAX {
            free.push(buffer);
        }
    }

    /// An empty buffer.
    pub(super) fn take_write(&self) -> Vec<u8> {
        self.write.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn put_write(&self, mut buffer: Vec<u8>) {
        let mut free = self.write.borrow_mut();
        if buffer.capacity() <= WRITE_BYTES_KEPT && free.len() < FREE_MAX {
            buffer.clear();
            free.push(buffer);
        }
    }
}
