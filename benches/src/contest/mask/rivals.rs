use super::Mask;
use soketto::base::{Codec, Header, OpCode};

/// fastwebsockets: its public function.
pub(super) struct Fastwebsockets;

impl Mask for Fastwebsockets {
    const NAME: &'static str = "fastwebsockets";

    #[inline]
    fn apply(bytes: &mut [u8], key: [u8; 4]) {
        fastwebsockets::unmask(bytes, key);
    }
}

/// sockudo-ws: its public function.
pub(super) struct Sockudo;

impl Mask for Sockudo {
    const NAME: &'static str = "sockudo-ws";

    #[inline]
    fn apply(bytes: &mut [u8], key: [u8; 4]) {
        sockudo_ws::mask::apply_mask(bytes, key);
    }
}

/// soketto: its public function, which takes the key from a header.
pub(super) struct Soketto;

impl Mask for Soketto {
    const NAME: &'static str = "soketto";

    #[inline]
    fn apply(bytes: &mut [u8], key: [u8; 4]) {
        let mut header = Header::new(OpCode::Binary);
        header.set_masked(true).set_mask(u32::from_be_bytes(key));
        Codec::apply_mask(&header, bytes);
    }
}

/// yawc: its public function.
pub(super) struct Yawc;

impl Mask for Yawc {
    const NAME: &'static str = "yawc";

    #[inline]
    fn apply(bytes: &mut [u8], key: [u8; 4]) {
        yawc::mask::apply_mask(bytes, key);
    }
}
