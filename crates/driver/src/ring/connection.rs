//! The life of a connection, from its first receive to its last completion.
//!
//! Everything that happens to it is written down in the table; then [`Driver::settle`] asks the
//! kernel for what follows from that. A connection ends in one of two ways. *Gently* after the
//! peer's FIN: the send in flight comes home, then its slot is closed. *Abruptly* otherwise: it is
//! reset and closed at once, which ends all that is armed. It is gone when its close is done and
//! nothing is under way any more.
//!
//! # How it is heard
//!
//! A *busy* connection has a multishot receive armed: one completion for what arrives, and nothing
//! to be asked for again. That costs about 860 bytes of kernel memory while it waits, of which a
//! poll needs 260: so who is *quiet* has a multishot poll for input, and is received from, once and
//! at once, when that tells of something. That is a request and a completion more for each of the
//! few times that something comes. The poll tells of each arrival once: so a receive that left
//! something is followed by another, and one that was asked for before the poll told again too.
//!
//! From busy to quiet and back it goes by a cancel, and a multishot poll has to be cancelled when
//! its connection ends. The kernel looks for what is to be cancelled among a 256th of all that is
//! armed. On a ring where that would be dear a quiet connection is polled anew for each arrival: that
//! ends by itself when the connection does; and who was busy once has its receive armed for good.
//!
//! Neither way begins while a shutdown is under way. A worker thread of the kernel carries that
//! out, and looks up there whose the slot is: a connection that took it meanwhile would be told
//! FIN in the other's place.

use super::completion::{Kind, Sending};
use super::driver::{Driver, News};
use super::queue::Landed;
use super::state::{Arm, Connection, Once, Poll, Unheard};
use crate::{CHUNK_MAX, Cause, Chunk, ConnId, Opening};
use halfopen_wheel::Instant;

impl Driver {
    /// A connection is open in `slot`.
    pub(super) fn opened(&mut self, slot: u32, v6: bool, by: Opening, now: Instant) {
        let connection = Connection::new(slot, v6, now);
        let id = self.table.insert(connection).expect("room was seen to");
        self.news.push_back(News::Opened(id, by));
        self.settle(id);
    }

    pub(super) fn on_receive(
        &mut self,
        id: ConnId,
        result: i32,
        more: bool,
        (buffer, left): (Option<u16>, bool),
        now: Instant,
    ) {
        self.arrivals += 1;
        if let Some(buffer) = buffer {
            match usize::try_from(result) {
                Ok(length @ 1..) => self.news.push_back(News::Received(id, buffer, length)),
                _ => self.queue.give_back(buffer),
            }
        }
        let Some(connection) = self.table.at(id) else { return };
        let is_first = std::mem::take(&mut connection.fresh);
        let was_quiet = result > 0 && connection.hear(now, self.quiet);
        if !more {
            connection.receive = Arm::Off;
            if left {
                connection.suspect();
            }
        } else if was_quiet && connection.receive == Arm::On && self.cancels_are_cheap {
            connection.receive = Arm::Ending;
            self.queue.cancel(Kind::Receive.of(id));
        } else if is_first && connection.is_heard() && connection.shutdown == Once::No {
            // Bytes and an RST behind them, both there before the receive was armed: it gives out
            // the bytes and waits for another packet (6.18), which never comes.
            self.queue.check(id, connection.slot);
        }
        match -result {
            0 => self.end_gently(id, Cause::Fin),
            libc::ENOBUFS => self.starve(id),
            libc::ECANCELED | libc::EINTR | libc::EAGAIN => self.settle(id),
            errno @ 1.. => self.end_abruptly(id, Cause::from_errno(errno)),
            _ if more => {}
            _ => self.settle(id),
        }
    }

    /// The check has failed: the peer is gone, and the receive did not tell.
    pub(super) fn on_check(&mut self, id: ConnId, result: i32) {
        let passing = [libc::EINTR, libc::EAGAIN].contains(&-result);
        if self.table.at(id).is_some_and(|connection| connection.end.is_none()) && !passing {
            self.end_abruptly(id, Cause::from_errno(-result));
        }
    }

    /// No buffer was free: it is armed again in its turn, after buffers have returned.
    fn starve(&mut self, id: ConnId) {
        self.counters.buffers_exhausted.add(1);
        self.queue.more_buffers();
        let Some(connection) = self.table.at(id) else { return };
        connection.unheard = Unheard::Starved;
        self.starved.push_back(id);
        self.settle(id);
    }

    /// Its turn has come. Whether it will take a buffer: not if it was paused or has ended since.
    pub(super) fn receive_again(&mut self, id: ConnId) -> bool {
        let Some(connection) = self.table.at(id) else { return false };
        // Also behind what is received now: the end may have been told meanwhile.
        connection.unheard = Unheard::Something;
        let takes_one = connection.is_heard() && !connection.paused;
        if takes_one && connection.poll == Poll::Input && connection.receive == Arm::Off {
            self.receive_once(id);
        }
        self.settle(id);
        takes_one
    }

    pub(super) fn pause(&mut self, id: ConnId, paused: bool) {
        if let Some(connection) = self.table.at(id) {
            connection.paused = paused;
            self.settle(id);
        }
    }

    pub(super) fn on_poll(&mut self, id: ConnId, result: i32, more: bool) {
        let Some(connection) = self.table.at(id) else { return };
        if more {
            self.on_input(id, result);
            return;
        }
        connection.poll = Poll::Off;
        if connection.end.is_some() || result <= 0 {
            self.settle(id);
        } else if connection.paused {
            self.on_end_of_paused(id, result);
        } else if connection.receive == Arm::Off {
            // Whatever it is, the receive will tell.
            self.receive_once(id);
        }
    }

    /// A poll that goes on has told of something. Once it is cancelled that is no news: whatever
    /// is armed in its place will tell too.
    fn on_input(&mut self, id: ConnId, result: i32) {
        let Some(connection) = self.table.at(id) else { return };
        if connection.poll != Poll::Input || connection.end.is_some() {
            return;
        }
        let is_under_way = connection.receive != Arm::Off;
        let waits = is_under_way || connection.unheard == Unheard::Starved;
        // Behind the last bytes there is an end to be received, of which nothing more will tell.
        let ends = result & i32::from(libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0;
        if ends || is_under_way {
            connection.suspect();
        }
        if !waits {
            self.receive_once(id);
        }
    }

    /// A paused connection was polled: it has ended, or has bytes that are not wanted yet.
    fn on_end_of_paused(&mut self, id: ConnId, result: i32) {
        if result & i32::from(libc::POLLERR) != 0 {
            self.diagnose(id);
        } else if result & i32::from(libc::POLLRDHUP | libc::POLLHUP) != 0 {
            self.end_gently(id, Cause::Fin);
        } else {
            self.settle(id);
        }
    }

    pub(super) fn send(&mut self, id: ConnId, chunk: Chunk, now: Instant) {
        let Some(connection) = self.table.at(id) else { return };
        if connection.end == Some(Cause::Aborted) {
            return;
        }
        assert!((1..=CHUNK_MAX).contains(&chunk.as_bytes().len()), "a chunk's size");
        assert!(!connection.sending, "one send in flight");
        if connection.end.is_some() || connection.shutdown != Once::No {
            let earlier = self.stranded.insert(id, (chunk, now));
            assert!(earlier.is_none(), "one send in flight");
            return;
        }
        connection.sending = true;
        self.queue.send(Sending { id, slot: connection.slot, done: 0, at: None, chunk });
    }

    pub(super) fn on_send(&mut self, id: ConnId, landed: Landed, result: i32, now: Instant) {
        let Some(connection) = self.table.at(id) else {
            drop(self.queue.take(landed));
            return;
        };
        let sending = self.queue.sending(&landed);
        let taken = u32::try_from(result).unwrap_or(0);
        self.counters.bytes_out.add(taken.into());
        sending.done += taken;
        sending.at.get_or_insert(now);
        let short = (sending.done as usize) < sending.chunk.as_bytes().len();
        let passing = result > 0 || [-libc::EINTR, -libc::EAGAIN].contains(&result);
        // After a close the slot may be somebody else's.
        if short && passing && connection.close == Once::No {
            self.counters.sends_short.add(1);
            self.queue.send_rest(landed);
            return;
        }
        connection.sending = false;
        self.news.push_back(News::Sent(id, landed));
        if short && connection.end.is_none() {
            self.end_abruptly(id, Cause::from_errno(-result));
        } else {
            self.settle(id);
        }
    }

    pub(super) fn shut_down(&mut self, id: ConnId) {
        let Some(connection) = self.table.at(id) else { return };
        if connection.shutdown == Once::No {
            connection.shutdown = Once::Wanted;
            self.settle(id);
        }
    }

    pub(super) fn abort(&mut self, id: ConnId) {
        let Some(connection) = self.table.at(id) else { return };
        connection.end = Some(Cause::Aborted);
        self.end_abruptly(id, Cause::Aborted);
    }

    pub(super) fn end_abruptly(&mut self, id: ConnId, cause: Cause) {
        let Some(connection) = self.table.at(id) else { return };
        connection.end.get_or_insert(cause);
        if connection.close == Once::No {
            connection.close = Once::Wanted;
        }
        self.settle(id);
    }

    fn end_gently(&mut self, id: ConnId, cause: Cause) {
        let Some(connection) = self.table.at(id) else { return };
        connection.end.get_or_insert(cause);
        self.settle(id);
    }

    pub(super) fn on_shutdown(&mut self, id: ConnId) {
        let Some(connection) = self.table.at(id) else { return };
        connection.shutdown = Once::Done;
        self.settle(id);
    }

    pub(super) fn on_close(&mut self, id: ConnId) {
        let Some(connection) = self.table.at(id) else { return };
        connection.close = Once::Done;
        self.settle(id);
    }

    /// Asks the kernel for what follows from what is written down.
    fn settle(&mut self, id: ConnId) {
        let Some(connection) = self.table.at(id) else { return };
        match (connection.end, connection.close) {
            (None, _) => self.listen(id),
            (Some(_), _) if connection.shutdown == Once::Asked => {}
            (Some(_), Once::No) => self.close_gently(id),
            (Some(_), Once::Wanted) => {
                connection.close = Once::Asked;
                let is_polled = connection.poll == Poll::Input;
                if is_polled {
                    connection.poll = Poll::Ending;
                }
                self.queue.reset(id, connection.slot);
                if is_polled {
                    self.queue.cancel(Kind::Poll.of(id));
                }
            }
            (Some(cause), Once::Done) if connection.is_idle() => {
                self.table.remove(id);
                self.bring_home(id);
                self.news.push_back(News::Closed(id, cause));
            }
            (Some(_), _) => {}
        }
    }

    fn bring_home(&mut self, id: ConnId) {
        if let Some((chunk, at)) = self.stranded.remove(&id) {
            self.news.push_back(News::Stranded(id, chunk, at));
        }
    }

    /// Arms what a living connection wants armed, and cancels what it does not. Never arms anew
    /// what was cancelled and has not ended: there is at most one request of each name.
    fn listen(&mut self, id: ConnId) {
        let Some(connection) = self.table.at(id) else { return };
        let slot = connection.slot;
        if connection.shutdown == Once::Wanted && !connection.sending {
            connection.shutdown = Once::Asked;
            self.queue.shut_down(id, slot);
        }
        if connection.paused {
            self.listen_for_the_end(id);
            return;
        }
        if connection.poll == Poll::End {
            connection.poll = Poll::Ending;
            self.queue.cancel(Kind::Poll.of(id));
        }
        if connection.receive != Arm::Off || connection.unheard == Unheard::Starved {
            return;
        }
        match connection.poll {
            Poll::InputOnce => {}
            Poll::Input if connection.unheard == Unheard::Something => {
                connection.unheard = Unheard::Nothing;
                self.receive_once(id);
            }
            _ if connection.is_busy() => self.receive_always(id),
            Poll::Off => self.poll_for_input(id),
            Poll::Input | Poll::End | Poll::Ending => {}
        }
    }

    /// Receives what is there.
    fn receive_once(&mut self, id: ConnId) {
        let Some(connection) = self.table.at(id) else { return };
        connection.receive = Arm::On;
        self.queue.receive_now(id, connection.slot);
    }

    /// Receives whatever comes.
    fn receive_always(&mut self, id: ConnId) {
        let Some(connection) = self.table.at(id) else { return };
        if connection.poll == Poll::Input {
            connection.poll = Poll::Ending;
            self.queue.cancel(Kind::Poll.of(id));
        }
        connection.receive = Arm::On;
        connection.fresh = true;
        self.queue.receive(id, connection.slot);
    }

    fn poll_for_input(&mut self, id: ConnId) {
        let Some(connection) = self.table.at(id) else { return };
        connection.poll = if self.cancels_are_cheap { Poll::Input } else { Poll::InputOnce };
        connection.unheard = Unheard::Nothing;
        self.queue.poll(id, connection.slot, connection.poll);
    }

    /// A poll that tells once of input may stay: it is not armed again when that has come.
    fn listen_for_the_end(&mut self, id: ConnId) {
        let Some(connection) = self.table.at(id) else { return };
        if connection.receive == Arm::On {
            connection.receive = Arm::Ending;
            self.queue.cancel(Kind::Receive.of(id));
        }
        match connection.poll {
            Poll::Off => {
                connection.poll = Poll::End;
                self.queue.poll(id, connection.slot, Poll::End);
            }
            Poll::Input => {
                connection.poll = Poll::Ending;
                self.queue.cancel(Kind::Poll.of(id));
            }
            Poll::InputOnce | Poll::End | Poll::Ending => {}
        }
    }

    /// Closes when nothing is under way any more: what is armed keeps the socket, and a close would
    /// send no FIN.
    fn close_gently(&mut self, id: ConnId) {
        let Some(connection) = self.table.at(id) else { return };
        if connection.is_idle() {
            connection.close = Once::Asked;
            self.queue.close(id, connection.slot);
            return;
        }
        if connection.receive == Arm::On {
            connection.receive = Arm::Ending;
            self.queue.cancel(Kind::Receive.of(id));
        }
        if !matches!(connection.poll, Poll::Off | Poll::Ending) {
            connection.poll = Poll::Ending;
            self.queue.cancel(Kind::Poll.of(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Options;
    use crate::ring::queue::Wait;
    use crate::{Config, Waker};
    use bytes::BytesMut;
    use halfopen_wheel::clock;
    use socket2::{Domain, SockRef, Socket, Type};
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::time::Duration;

    /// Turns until there is news that is looked for.
    fn turn_until<T>(driver: &mut Driver, find: impl Fn(News) -> Option<T>) -> T {
        let until = clock::now() + Duration::from_secs(20);
        loop {
            while let Some(news) = driver.news.pop_front() {
                if let Some(found) = find(news) {
                    return found;
                }
            }
            let now = clock::now();
            assert!(now < until, "no news");
            driver.prepare(now);
            driver.queue.enter(Wait::Until(Some(now + Duration::from_millis(10)))).unwrap();
            while let Some(completion) = driver.queue.next(|_| {}) {
                driver.complete(completion, clock::now());
            }
        }
    }

    /// A driver that has taken who waits at the listener.
    fn driver_with_one(listener: TcpListener) -> (Driver, ConnId) {
        let (_waker, wake) = Waker::new().unwrap();
        let config = Config {
            listener: Some(Arc::new(listener)),
            listener_shared: false,
            wake,
            connections_max: 1,
            counters: Arc::default(),
            without: crate::ring::Features::NONE,
        };
        let mut driver = Driver::new(config, Options::default()).unwrap();
        driver.door.open(true);
        let id = turn_until(&mut driver, |news| match news {
            News::Opened(id, _) => Some(id),
            _ => None,
        });
        (driver, id)
    }

    /// As a kernel before 6.7 has it, which knows no commands for sockets.
    #[test]
    fn a_probe_that_fails_is_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut driver, id) = driver_with_one(listener);
        driver.on_probe(id, -libc::EOPNOTSUPP);
        assert!(matches!(driver.news.pop_front(), Some(News::Probed(of, 0)) if of == id));
    }

    /// The kernel finishes what it has begun to send, unless it is interrupted; a cancel does that.
    #[test]
    fn a_send_that_comes_back_short_goes_on_where_it_broke_off() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        SockRef::from(&listener).set_send_buffer_size(4096).unwrap();
        // Before it connects, or it has already offered room for all.
        let peer = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        peer.set_recv_buffer_size(4096).unwrap();
        peer.connect(&listener.local_addr().unwrap().into()).unwrap();
        let mut peer = TcpStream::from(peer);
        let (mut driver, id) = driver_with_one(listener);
        let bytes: Vec<u8> = (0..CHUNK_MAX).map(|n| (n % 251) as u8).collect();
        driver.send(id, Chunk::Own(BytesMut::from(&bytes[..])), clock::now());
        let counters = driver.counters.clone();
        driver.queue.enter(Wait::No).unwrap();
        driver.queue.cancel(Kind::Send.at(0));
        for _ in 0..2 {
            driver.queue.enter(Wait::No).unwrap();
            while let Some(completion) = driver.queue.next(|_| {}) {
                driver.complete(completion, clock::now());
            }
        }
        assert_eq!(counters.sends_short.value(), 1);
        let reader = std::thread::spawn(move || {
            let mut back = vec![0; CHUNK_MAX];
            peer.read_exact(&mut back).map(|()| back)
        });
        let sent = turn_until(&mut driver, |news| match news {
            News::Sent(_, landed) => Some(landed),
            _ => None,
        });
        assert_eq!(driver.queue.take(sent).chunk.as_bytes().len(), CHUNK_MAX);
        assert_eq!(reader.join().unwrap().unwrap(), bytes);
    }
}
