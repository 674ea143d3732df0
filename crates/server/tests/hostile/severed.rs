//! A socket whose cable is cut.
#![allow(unsafe_code)] // setsockopt of an option that no safe wrapper knows.

use std::ffi::c_int;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

/// From now on the kernel drops every packet that arrives for `stream`, below TCP: the peer hears
/// nothing more, not even an ACK (IP_MINTTL; packets over loopback come with 64).
pub(crate) fn sever(stream: &TcpStream) {
    let hops: c_int = 255;
    // SAFETY: the pointer is to an integer that lives through the call, and its size is told.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MINTTL,
            (&raw const hops).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
