//! What is asked of a socket: by the ring where it can, else of an ordinary descriptor, which is
//! made for it where the socket has none.

use super::completion::Kind;
use super::driver::{Driver, News};
use super::state::Poll;
use crate::{Cause, ConnId, Ends, Severance, socket};
use socket2::SockRef;
use std::os::fd::OwnedFd;

impl Driver {
    pub(super) fn probe(&mut self, id: ConnId) {
        let Some(slot) = self.open_slot(id) else { return };
        match self.queue.by_hand(slot).map(socket::queued) {
            Some(queued) => {
                self.counters.syscalls.add(1);
                self.news.push_back(News::Probed(id, queued));
            }
            None => self.queue.probe(id, slot),
        }
    }

    /// A question that has failed is answered, too: somebody may wait for the answer before he
    /// judges.
    pub(super) fn on_probe(&mut self, id: ConnId, result: i32) {
        if self.table.at(id).is_some() {
            self.news.push_back(News::Probed(id, u32::try_from(result).unwrap_or(0)));
        }
    }

    pub(super) fn sever(&mut self, id: ConnId, how: Severance) {
        let Some(slot) = self.open_slot(id) else { return };
        if let Some(socket) = self.queue.by_hand(slot) {
            self.counters.syscalls.add(2);
            socket::sever(socket, how);
        } else if how == Severance::Vanish {
            self.queue.set_repair(slot);
        } else {
            let v6 = self.table.at(id).is_some_and(|connection| connection.v6);
            self.queue.set_min_ttl(slot, v6, how == Severance::Drop);
        }
        if how == Severance::Vanish {
            self.abort(id);
        }
    }

    /// Where a connection is that has not ended.
    fn open_slot(&mut self, id: ConnId) -> Option<u32> {
        let connection = self.table.at(id).filter(|connection| connection.end.is_none())?;
        Some(connection.slot)
    }

    pub(super) fn locate(&mut self, id: ConnId) {
        let Some(slot) = self.open_slot(id) else { return };
        match self.queue.duplicate(slot) {
            Some(descriptor) => self.on_locate(id, Some(descriptor)),
            None => self.queue.install(Kind::Locate, id, slot),
        }
    }

    pub(super) fn on_locate(&mut self, id: ConnId, descriptor: Option<OwnedFd>) {
        if self.table.at(id).is_some() {
            let ends = descriptor.and_then(|descriptor| ends(&descriptor));
            self.news.push_back(News::Located(id, ends));
        }
    }

    /// A paused connection has an error. Which it is, is asked of the socket; till then its poll
    /// counts as not ended.
    pub(super) fn diagnose(&mut self, id: ConnId) {
        let Some(connection) = self.table.at(id) else { return };
        connection.poll = Poll::Ending;
        match self.queue.duplicate(connection.slot) {
            Some(descriptor) => self.on_diagnose(id, Some(descriptor)),
            None => self.queue.install(Kind::Diagnose, id, connection.slot),
        }
    }

    pub(super) fn on_diagnose(&mut self, id: ConnId, descriptor: Option<OwnedFd>) {
        let Some(connection) = self.table.at(id) else { return };
        connection.poll = Poll::Off;
        let error =
            descriptor.and_then(|descriptor| SockRef::from(&descriptor).take_error().ok()?);
        let errno = error.and_then(|error| error.raw_os_error());
        self.end_abruptly(id, errno.map_or(Cause::Reset, Cause::from_errno));
    }
}

fn ends(socket: &OwnedFd) -> Option<Ends> {
    let socket = SockRef::from(socket);
    let local = socket.local_addr().ok()?.as_socket()?;
    let peer = socket.peer_addr().ok()?.as_socket()?;
    Some(Ends { local, peer })
}
