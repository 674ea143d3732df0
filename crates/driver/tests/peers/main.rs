//! The drivers of the kernel against peers of the standard library, over loopback.
//!
//! What the contract says of every driver is checked by its own suite; here are the ways in which
//! kernels and sockets can spoil it.

/// Makes a test of each function for each driver, and for each way to run the one on io_uring.
macro_rules! on_every_driver {
    ($($names:tt)*) => {
        on_driver! { io_uring: IO_URING; $($names)* }
        on_driver! { io_uring_always_quiet: ALWAYS_QUIET; $($names)* }
        on_driver! {
            io_uring_always_quiet_where_cancels_are_dear: ALWAYS_QUIET_WHERE_CANCELS_ARE_DEAR;
            $($names)*
        }
        on_driver! { io_uring_always_busy: ALWAYS_BUSY; $($names)* }
        on_driver! { io_uring_without_defer_taskrun: WITHOUT_DEFER_TASKRUN; $($names)* }
        on_driver! { io_uring_plain: PLAIN; $($names)* }
        on_driver! { io_uring_without_multishot: WITHOUT_MULTISHOT; $($names)* }
        on_driver! { io_uring_without_socket_commands: WITHOUT_SOCKET_COMMANDS; $($names)* }
        on_driver! { io_uring_without_direct: WITHOUT_DIRECT; $($names)* }
        on_driver! { io_uring_without_min_wait: WITHOUT_MIN_WAIT; $($names)* }
        on_driver! { io_uring_without_anything: WITHOUT_ANYTHING; $($names)* }
        on_driver! { tokio_uring: TOKIO_URING; $($names)* }
        on_driver! { epoll: EPOLL; $($names)* }
    };
}

macro_rules! on_driver {
    ($module:ident: $driver:ident; $($name:ident,)*) => {
        mod $module {
            $(#[test] fn $name() { super::$name(crate::drivers::$driver); })*
        }
    };
}

mod bytes;
mod descriptors;
mod drivers;
mod ending;
mod memory;
mod opening;
mod rig;
mod ring;
mod time;
