//! The two halves that every transport over bytes needs: an inbox and an outbox that hold nothing while idle.
//!
//! Most connections of a server are silent most of the time, so what a silent connection holds is what counts. Reading
//! goes through a buffer on the stack, and only what has arrived is kept; buffers are given back once they are empty.

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

/// How much is read at once.
const READ_SIZE: usize = 16 << 10;

/// From this size on, a frame is shared instead of being copied together with its neighbours.
const SHARED_SIZE: usize = 16 << 10;

/// How much room is made at least; it is given back when all is written.
const LEAST_ROOM: usize = 256;

/// How many pieces go into one vectored write.
const SLICES: usize = 16;

/// Reads once and appends what came to `inbox`. Ready with 0 at the end of the stream.
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

/// Takes the next `len` bytes, and gives the buffer away with them if they are the last.
pub(crate) fn take(inbox: &mut BytesMut, len: usize) -> BytesMut {
    if inbox.len() == len { core::mem::take(inbox) } else { inbox.split_to(len) }
}

/// Where the writing direction of a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// Frames may be sent.
    Open,
    /// The last bytes wait in the outbox, and after them nothing may be sent.
    Closing,
    /// The stream below was told that nothing more comes.
    Closed,
}

/// Bytes that wait to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Finished pieces, before the tail.
    pieces: VecDeque<Bytes>,
    /// Small frames are copied together here.
    tail: BytesMut,
    /// Bytes in all pieces and the tail.
    len: usize,
    /// Everything was written, but the stream below may keep it back.
    unflushed: bool,
}

impl Outbox {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// So many bytes are about to be added, in one or more pieces.
    pub(crate) fn make_room(&mut self, bytes: usize) {
        if bytes < SHARED_SIZE {
            // Mostly more follows.
            self.tail.reserve(bytes.max(LEAST_ROOM));
        }
    }

    /// Adds bytes by copying them.
    pub(crate) fn copy(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Adds bytes to be changed in place, as masking needs it.
    pub(crate) fn copy_with(&mut self, bytes: &[u8], change: impl FnOnce(&mut [u8])) {
        let start = self.tail.len();
        self.copy(bytes);
        change(&mut self.tail[start..]);
    }

    /// Adds bytes, sharing them when they are many.
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

    /// Ready when less than `limit` bytes wait, after writing if that is needed.
    pub(crate) fn poll_room(
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

    /// Writes everything and flushes the stream.
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

    /// Takes at most `step` bytes per write and counts the writes.
    struct Narrow {
        step: usize,
        writes: usize,
        got: Vec<u8>,
    }

    impl AsyncWrite for Narrow {
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

    fn flush(outbox: &mut Outbox, step: usize) -> (Vec<u8>, usize) {
        let mut io = Narrow { step, writes: 0, got: Vec::new() };
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(outbox.poll_flush(&mut io, &mut cx), Poll::Ready(Ok(()))));
        (io.got, io.writes)
    }

    #[test]
    fn small_and_large_leave_in_order_in_one_write() {
        let mut outbox = Outbox::default();
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
            outbox.share(bytes.into());
        }
        assert_eq!(outbox.len(), expected.len());
        assert_eq!(flush(&mut outbox, usize::MAX), (expected, 1));
        assert_eq!(outbox.len(), 0);
        assert_eq!(outbox.tail.capacity(), 0, "an idle outbox holds nothing");
    }

    #[test]
    fn partial_writes_lose_nothing() {
        for step in [1, 2, 1000, SHARED_SIZE, SHARED_SIZE + 1] {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            for size in [1, SHARED_SIZE, 2, 3, SHARED_SIZE + 1] {
                let bytes: Vec<u8> = (0..size).map(|i| i as u8).collect();
                expected.extend_from_slice(&bytes);
                outbox.share(bytes.into());
            }
            assert_eq!(flush(&mut outbox, step).0, expected, "step {step}");
        }
    }
}
