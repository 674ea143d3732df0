//! A transport that is always ready: it reads from memory, again and again from the start, and keeps
//! what is written. Rivals that do their own reading and writing get it, and never wait.

use super::input::Input;
use futures::io as futures_io;
use std::io::{self, IoSlice, Read, Write};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io as tokio_io;

/// An endless stream, which is the input's reads over and over, and a place for what comes back.
#[derive(Debug)]
pub(super) struct Transport {
    input: Arc<Input>,
    position: usize,
    written: Vec<u8>,
}

impl Transport {
    pub(super) fn new(input: Arc<Input>) -> Self {
        Self { input, position: 0, written: Vec::new() }
    }

    /// For who only writes.
    pub(super) fn without_input() -> Self {
        Self::new(Arc::new(Input::raw(&[])))
    }

    /// What was written since this was cleared.
    pub(super) fn written(&self) -> &[u8] {
        &self.written
    }

    pub(super) fn clear_written(&mut self) {
        self.written.clear();
    }

    /// The next bytes, at most `room` of them: one read ends where the input says.
    #[inline]
    fn next(&mut self, room: usize) -> &[u8] {
        let Input { stream, read_max, .. } = &*self.input;
        let start = self.position;
        let left = stream.len() - start;
        let count = left.min(room).min(read_max - start % read_max);
        self.position = if count == left { 0 } else { start + count };
        &stream[start..start + count]
    }
}

impl Read for Transport {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.next(buffer.len());
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl tokio_io::AsyncRead for Transport {
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

impl futures_io::AsyncRead for Transport {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.get_mut().read(buffer))
    }
}

impl Write for Transport {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        slices.iter().map(|slice| self.write(slice)).sum()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

macro_rules! write_at_once {
    ($trait:path, $close:ident, $($more:tt)*) => {
        impl $trait for Transport {
            #[inline]
            fn poll_write(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                Poll::Ready(self.get_mut().write(bytes))
            }

            #[inline]
            fn poll_write_vectored(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Poll::Ready(self.get_mut().write_vectored(slices))
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn $close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            $($more)*
        }
    };
}

write_at_once!(futures_io::AsyncWrite, poll_close,);
write_at_once!(
    tokio_io::AsyncWrite,
    poll_shutdown,
    fn is_write_vectored(&self) -> bool {
        true
    }
);

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
