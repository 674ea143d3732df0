//! Where the kernel refuses io_uring, as most containers have it: a seccomp filter of our own
//! answers its three calls with an error, in the program that is started and in all that it starts.

#![allow(unsafe_code)] // a filter has to be put on between fork and exec

use crate::program::{Ran, Served, halfopen};
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// io_uring_setup, io_uring_enter and io_uring_register have these numbers on every architecture.
const FIRST: u32 = 425;
const LAST: u32 = 427;

/// Refuses all of io_uring to `command`.
fn without_io_uring(command: &mut Command, errno: i32) -> &mut Command {
    without_calls(command, FIRST..=LAST, errno)
}

/// Puts the filter on `command`: these calls are answered with `errno`.
fn without_calls(command: &mut Command, calls: RangeInclusive<u32>, errno: i32) -> &mut Command {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let jump = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
        jt,
        jf,
        ..statement(libc::BPF_JMP | libc::BPF_K | code, k)
    };
    // The number of the call is the first word of what a filter is given.
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        jump(libc::BPF_JGE, *calls.start(), 0, 2),
        jump(libc::BPF_JGT, *calls.end(), 1, 0),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let put_on = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: both calls change this process alone; the second reads the program, which lives.
        let outcome = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
                | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
        };
        if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(put_on) }
}

#[test]
fn auto_takes_epoll_and_says_so_in_a_line() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        let mut command = halfopen(&["serve", "--listen=127.0.0.1:0", "--drain=0s"]);
        let server = Served::run(without_io_uring(&mut command, errno));
        assert!(server.line.contains(" driver=epoll "), "{}", server.line);
        let ran = server.end(&[rustix::process::Signal::TERM]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        let notes: Vec<_> = ran.err.lines().filter(|line| line.starts_with("note: ")).collect();
        let [note] = notes[..] else { panic!("{ran:?}") };
        assert!(note.contains("refuses io_uring") && note.ends_with("epoll instead"), "{note}");
    }
}

/// A ring can be had there, and nothing be done with it.
#[test]
fn auto_takes_epoll_where_a_ring_is_of_no_use_and_says_why() {
    for call in [LAST - 1, LAST] {
        let mut command = halfopen(&["serve", "--listen=127.0.0.1:0", "--drain=0s"]);
        let server = Served::run(without_calls(&mut command, call..=call, libc::EINVAL));
        assert!(server.line.contains(" driver=epoll "), "{}", server.line);
        let ran = server.end(&[rustix::process::Signal::TERM]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        let note = ran.err.lines().find(|line| line.ends_with("epoll instead"));
        let note = note.unwrap_or_else(|| panic!("{ran:?}"));
        let says_why = note.contains("io_uring") && note.contains("Invalid argument");
        assert!(note.starts_with("note: ") && says_why, "{note}");
    }
}

#[test]
fn a_driver_that_was_asked_for_is_not_exchanged() {
    for driver in ["io-uring", "tokio-uring"] {
        let mut command = halfopen(&["serve", "--listen=127.0.0.1:0", "--driver", driver]);
        let ran: Ran = without_io_uring(&mut command, libc::EPERM).output().unwrap().into();
        assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.err.contains("refuses io_uring"), "{ran:?}");
        assert!(ran.err.contains("seccomp"), "{ran:?}");
    }
}

#[test]
fn the_main_job_is_done_all_the_same() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().to_str().unwrap();
    let mut command = halfopen(&["lab", "--quick", "--json", "--out", place]);
    let ran: Ran = without_io_uring(&mut command, libc::EPERM).output().unwrap().into();
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert_eq!(ran.err.matches("epoll instead").count(), 1, "{}", ran.err);
    let report = ran.document();
    crate::report::assert_valid(&report);
    assert_eq!(report["plan"]["server_driver"], "epoll");
    assert_eq!(report["plan"]["load_driver"], "epoll");
    assert_eq!(
        (&report["connections"]["opened"], &report["false_kills"]),
        (&2_000.into(), &0.into())
    );
    for death in ["blackhole", "freeze", "fin", "reset", "close"] {
        let block = &report["deaths"][death];
        assert_eq!(block["killed"], 200, "{death}: {block}");
        assert_eq!(block["detected"], 200, "{death}: {block}");
        assert_eq!(block["reclaimed"], 200, "{death}: {block}");
    }
}

#[test]
fn load_runs_on_epoll_too() {
    let server = Served::start(&[]);
    let url = server.url();
    let mut command =
        halfopen(&["load", &url, "-c20", "-d1s", "-r100/s", "--expect=echo", "--json"]);
    let ran: Ran = without_io_uring(&mut command, libc::EPERM).output().unwrap().into();
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(ran.err.contains("epoll instead"), "{ran:?}");
    let report = ran.document();
    assert_eq!(report["living"]["at_end"], 20);
    assert_eq!(report["messages"]["sent"], report["messages"]["received"]);
    drop(server);
}
