//! What the ring cannot ask of a direct descriptor, asked of an ordinary one made for it.

use super::completion::Kind;
use super::driver::{Driver, News};
use super::state::Poll;
use crate::{Cause, ConnId, Ends};
use socket2::SockRef;
use std::os::fd::OwnedFd;

impl Driver {
    pub(super) fn on_probe(&mut self, id: ConnId, result: i32) {
        // It fails only where the connection has ended, and that is told by itself.
        if let (Some(_), Ok(queued)) = (self.table.at(id), u32::try_from(result)) {
            self.news.push_back(News::Probed(id, queued));
        }
    }

    pub(super) fn locate(&mut self, id: ConnId) {
        let Some(connection) = self.table.at(id).filter(|it| it.end.is_none()) else { return };
        match self.queue.duplicate(connection.slot) {
            Some(descriptor) => self.on_locate(id, Some(descriptor)),
            None => self.queue.install(Kind::Locate, id, connection.slot),
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
