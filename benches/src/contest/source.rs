//! A transport that is always ready: it reads from memory, again and again from the start, and takes
//! whatever is written. Rivals that do their own reading and writing get it, and never wait.

use super::input::Input;
use futures::io as futures_io;
use std::io::{self, Read, Write};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io as tokio_io;

/// An endless stream: the input's reads, over and over.
#[derive(Debug)]
pub(super) struct Source {
    input: Arc<Input>,
    position: usize,
}

impl Source {
    pub(super) fn new(input: Arc<Input>) -> Self {
        Self { input, position: 0 }
    }

    /// The next bytes, at most `room` of them: one read ends where the input says.
    #[inline]
    fn next(&mut self, room: usize) -> &[u8] {
        let Input { stream, read_max, .. } = &*self.input;
        let left = stream.len() - self.position;
        let count = left.min(room).min(read_max - self.position % read_max);
        let start = self.position;
        self.position = if count == left { 0 } else { start + count };
        &stream[start..start + count]
    }
}

impl Read for Source {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.next(buffer.len());
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl tokio_io::AsyncRead for Source {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut tokio_io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        buffer.put_slice(self.get_mut().next(room));
        Poll::Ready(Ok(()))
    }
}

impl futures_io::AsyncRead for Source {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.get_mut().read(buffer))
    }
}

/// Nothing is written where only reading is measured.
macro_rules! write_nothing {
    ($($trait:path, $close:ident;)+) => {$(
        impl $trait for Source {
            fn poll_write(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                Poll::Ready(Ok(bytes.len()))
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn $close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
        }
    )+};
}

write_nothing!(tokio_io::AsyncWrite, poll_shutdown; futures_io::AsyncWrite, poll_close;);

impl Write for Source {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The value of a future that need not wait.
///
/// # Panics
/// If it waits.
#[inline]
pub(super) fn ready<F: Future>(future: F) -> F::Output {
    now(pin!(future).poll(&mut Context::from_waker(Waker::noop())))
}

/// What is there now.
///
/// # Panics
/// If it is not there.
#[inline]
pub(super) fn now<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("waits for a transport that is always ready"),
    }
}
