//! The input and output buffers of the transports over byte streams. Both hold no memory while
//! idle.
//!
//! Most connections of a server are idle most of the time, so memory is optimized for idle
//! connections. Reading uses a buffer on the stack, and only received bytes are kept; buffers are
//! freed when they are empty.

use core::{
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The number of bytes to read at once.
const READ_SIZE: usize = 16 << 10;

/// Frames of at least this size are shared; smaller ones are copied into one buffer.
const SHARED_SIZE: usize = 16 << 10;

/// The smallest capacity to reserve. It is freed when everything is written.
const MIN_CAPACITY: usize = 256;

/// The largest number of pieces in one vectored write.
const SLICES: usize = 16;

/// Reads once and appends the received bytes to `inbox`. Ready with 0 at the end of the stream.
pub(crate) fn poll_fill(
    io: &mut (impl AsyncRead + Unpin),
    inbox: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut scratch = [MaybeUninit::uninit(); READ_SIZE];
    let mut scratch = ReadBuf::uninit(&mut scratch);
    ready!(Pin::new(io).poll_read(cx, &mut scratch))?;
    inbox.extend_from_slice(scratch.filled());
    Poll::Ready(Ok(scratch.filled().len()))
}

/// Removes the next `len` bytes. If they are all of the buffer, its allocation goes with them.
pub(crate) fn take(inbox: &mut BytesMut, len: usize) -> BytesMut {
    if inbox.len() == len { core::mem::take(inbox) } else { inbox.split_to(len) }
}

/// The state of the writing direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// Frames may be sent.
    Open,
    /// The last bytes are in the outbox. No more frames may be sent.
    Closing,
    /// The writing direction of the underlying stream is shut down.
    Closed,
}

/// Bytes to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    /// Complete pieces, before the tail.
    pieces: VecDeque<Bytes>,
    /// Copies of small frames.
    tail: BytesMut,
    /// The number of bytes in all pieces and the tail.
    len: usize,
    /// Whether written bytes may still be buffered by the underlying stream.
    unflushed: bool,
}

impl WriteQueue {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Reserves capacity for the next `bytes` bytes, in one or more pieces.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        if bytes < SHARED_SIZE {
            // More frames usually follow.
            self.tail.reserve(bytes.max(MIN_CAPACITY));
        }
    }

    /// Appends a copy of the bytes.
    pub(crate) fn copy(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends a copy of the bytes and changes it in place, for masking.
    pub(crate) fn copy_with(&mut self, bytes: &[u8], change: impl FnOnce(&mut [u8])) {
        let start = self.tail.len();
        self.copy(bytes);
        change(&mut self.tail[start..]);
    }

    /// Appends the bytes; large ones are shared, not copied.
    pub(crate) fn share(&mut self, bytes: Bytes) {
        if bytes.len() < SHARED_SIZE {
            return self.copy(&bytes);
        }
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
        self.len += bytes.len();
        self.pieces.push_back(bytes);
    }

    /// Ready when fewer than `limit` bytes are buffered. Writes if necessary.
    pub(crate) fn poll_capacity(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.len < limit {
            return Poll::Ready(Ok(()));
        }
        match self.poll_flush(io, cx) {
            Poll::Pending if self.len < limit => Poll::Ready(Ok(())),
            other => other,
        }
    }

    /// Writes all bytes and flushes the stream.
    pub(crate) fn poll_flush(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.len > 0 {
            let written = ready!(self.poll_write(io, cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.advance(written);
        }
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.pieces.is_empty() {
            return Pin::new(io).poll_write(cx, &self.tail);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let all = self
            .pieces
            .iter()
            .map(|piece| &piece[..])
            .chain([&self.tail[..]])
            .filter(|piece| !piece.is_empty());
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        Pin::new(io).poll_write_vectored(cx, &slices[..count])
    }

    fn advance(&mut self, mut written: usize) {
        self.len -= written;
        while let Some(piece) = self.pieces.front_mut() {
            if written < piece.len() {
                return piece.advance(written);
            }
            written -= piece.len();
            self.pieces.pop_front();
        }
        self.tail.advance(written);
        if self.len == 0 {
            *self = Self { unflushed: self.unflushed, ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use core::task::Waker;

    use super::*;

    /// Accepts at most `step` bytes per write and counts the writes.
    struct LimitedWriter {
        step: usize,
        writes: usize,
        got: Vec<u8>,
    }

    impl AsyncWrite for LimitedWriter {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.step);
            self.got.extend_from_slice(&bytes[..count]);
            self.writes += 1;
            Poll::Ready(Ok(count))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> =
                slices.iter().flat_map(|slice| slice.iter().copied()).take(self.step).collect();
            self.got.extend_from_slice(&all);
            self.writes += 1;
            Poll::Ready(Ok(all.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn flush(write_queue: &mut WriteQueue, step: usize) -> (Vec<u8>, usize) {
        let mut io = LimitedWriter { step, writes: 0, got: Vec::new() };
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(write_queue.poll_flush(&mut io, &mut cx), Poll::Ready(Ok(()))));
        (io.got, io.writes)
    }

    #[test]
    fn small_and_large_pieces_are_written_in_order_in_one_write() {
        let mut write_queue = WriteQueue::default();
        let mut expected = Vec::new();
        for (size, letter) in [
            (3, b'a'),
            (SHARED_SIZE, b'b'),
            (5, b'c'),
            (7, b'd'),
            (2 * SHARED_SIZE, b'e'),
            (1, b'f'),
        ] {
            let bytes = vec![letter; size];
            expected.extend_from_slice(&bytes);
            write_queue.share(bytes.into());
        }
        assert_eq!(write_queue.len(), expected.len());
        assert_eq!(flush(&mut write_queue, usize::MAX), (expected, 1));
        assert_eq!(write_queue.len(), 0);
        assert_eq!(write_queue.tail.capacity(), 0, "an idle outbox holds no memory");
    }

    #[test]
    fn partial_writes_lose_nothing() {
        for step in [1, 2, 1000, SHARED_SIZE, SHARED_SIZE + 1] {
            let mut write_queue = WriteQueue::default();
            let mut expected = Vec::new();
            for size in [1, SHARED_SIZE, 2, 3, SHARED_SIZE + 1] {
                let bytes: Vec<u8> = (0..size).map(|i| i as u8).collect();
                expected.extend_from_slice(&bytes);
                write_queue.share(bytes.into());
            }
            assert_eq!(flush(&mut write_queue, step).0, expected, "step {step}");
        }
    }
}
