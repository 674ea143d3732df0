//! The drivers of the kernel against peers of the standard library, over loopback.
//!
//! What the contract says of every driver is checked by its own suite; here are the ways in which
//! kernels and sockets can spoil it.

/// Makes a test of each function for each driver.
macro_rules! on_every_driver {
    ($($name:ident,)*) => {
        mod io_uring {
            $(#[test] fn $name() { super::$name(halfopen_driver::DriverKind::IoUring); })*
        }
        mod tokio_uring {
            $(#[test] fn $name() { super::$name(halfopen_driver::DriverKind::TokioUring); })*
        }
        mod epoll {
            $(#[test] fn $name() { super::$name(halfopen_driver::DriverKind::Epoll); })*
        }
    };
}

mod bytes;
mod descriptors;
mod ending;
mod opening;
mod rig;
mod ring;
mod time;
