//! Frames that do not lie whole in one input, and messages in several frames: what comes is gathered
//! in memory from [`Scratch`] until it is whole.

use super::Connection;
use super::receive::{Found, skip};
use crate::frame::{CLOSE, CONTROL_MAX, Header};
use crate::pending::{Gathered, Pending};
use crate::{Limits, Payload, Scratch, Violation, close, mask};

impl Connection {
    /// Begins a frame whose payload has to be gathered.
    pub(super) fn begin_frame(
        &mut self,
        header: Header,
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Result<(), Violation> {
        if !header.first.is_control() {
            self.begin_fragment(header, limits, scratch)?;
        }
        (self.first, self.owed, self.key) = (header.first, header.length, header.key);
        Ok(())
    }

    fn begin_fragment(
        &mut self,
        header: Header,
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Result<(), Violation> {
        let Limits { message_max, pinned_max, .. } = *limits;
        let most = saturated(pinned_max);
        let pending = self.pending.get_or_insert_with(|| scratch.pending());
        let message = pending.message.get_or_insert_with(|| {
            let memory = scratch.buffer(saturated(header.length), most);
            Gathered::new(header.first.opcode(), memory)
        });
        // The rules for headers have bounded the sum.
        let length = message.unfinished().bytes + header.length;
        if length > pinned_max {
            return Err(Violation::TooMuchPinned { max: pinned_max });
        }
        let whole = if header.first.fin() { length } else { message_max };
        message.bytes_max = saturated(whole).min(most);
        message.fragments += 1;
        Ok(())
    }

    /// Takes what the input holds of the frame under way.
    pub(super) fn on_piece<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        scratch: &mut Scratch,
    ) -> Found<'a> {
        let length = input.len().min(saturated(self.owed));
        let piece = skip(input, length);
        self.owed -= length as u64;
        let key = self.key;
        self.key = mask::turned(key, length);
        if self.first.is_control() {
            mask::apply(piece, key, 0);
            self.gather_control(piece, scratch)
        } else {
            self.gather_message(piece, key)
        }
    }

    fn gather_control(&mut self, piece: &[u8], scratch: &mut Scratch) -> Found<'static> {
        let (first, owed) = (self.first, self.owed as usize);
        let control = &mut self.pending_mut(scratch).control;
        control.push(piece);
        if owed == 0 {
            let mut payload = scratch.buffer(CONTROL_MAX, usize::MAX);
            payload.extend_from_slice(control.as_bytes());
            control.clear();
            return self.on_whole(first, Payload::Owned(payload), scratch);
        }
        if first.opcode() == CLOSE {
            close::check_part(control.as_bytes(), owed)?;
        }
        Ok(None)
    }

    fn gather_message(&mut self, piece: &mut [u8], key: [u8; 4]) -> Found<'static> {
        let message = &mut self.pending.as_deref_mut().expect("begun with the frame").message;
        let gathered = message.as_mut().expect("begun with the frame");
        gathered.push(piece, key)?;
        match (self.first.fin(), self.owed) {
            (true, 0) => message.take().map(Gathered::finish).transpose(),
            (true, owed) if owed < gathered.unfinished().missing => Err(Violation::TextNotUtf8),
            _ => Ok(None),
        }
    }

    pub(super) fn pending_mut(&mut self, scratch: &mut Scratch) -> &mut Pending {
        self.pending.get_or_insert_with(|| scratch.pending())
    }

    #[inline]
    pub(super) fn release_pending(&mut self, scratch: &mut Scratch) {
        if let Some(pending) = self.pending.take_if(|pending| pending.is_empty()) {
            scratch.return_pending(pending);
        }
    }
}

fn saturated(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
