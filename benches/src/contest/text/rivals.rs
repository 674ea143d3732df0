use super::Unmask;
use fastwebsockets::{Frame, OpCode, Payload};

/// fastwebsockets: a frame that borrows the bytes, its two methods.
pub(super) struct Fastwebsockets;

impl Unmask for Fastwebsockets {
    const NAME: &'static str = "fastwebsockets";

    #[inline]
    fn unmask(bytes: &mut [u8], key: [u8; 4]) -> bool {
        let mut frame = Frame::new(true, OpCode::Text, Some(key), Payload::BorrowedMut(bytes));
        frame.unmask();
        frame.is_utf8()
    }
}

/// sockudo-ws: its two public functions.
pub(super) struct Sockudo;

impl Unmask for Sockudo {
    const NAME: &'static str = "sockudo-ws";

    #[inline]
    fn unmask(bytes: &mut [u8], key: [u8; 4]) -> bool {
        sockudo_ws::mask::apply_mask(bytes, key);
        sockudo_ws::utf8::validate_utf8(bytes)
    }
}
