//! Words about what was chosen where it is not the usual, or not wise.

use crate::args::TcpFlags;
use crate::units::Typed;
use halfopen_server::DriverKind;

/// The driver that `asked` comes to, and what is to be said of it: that io_uring is refused.
pub(crate) fn choose(asked: DriverKind) -> (DriverKind, Option<String>) {
    let choice = asked.resolve();
    let driver = choice.driver;
    let note = choice.refused.map(|error| format!("note: {error}; {} instead", driver.name()));
    (driver, note)
}

/// What is to be said of a user timeout that does not wait for keepalive's probes.
pub(crate) fn impatience(flags: &TcpFlags) -> Option<String> {
    let watch = flags.watch();
    let (patience, needed) = (watch.user_timeout?, watch.given_up_after()?);
    let words = || {
        format!(
            "note: --tcp-user-timeout {} does not wait for all probes of --tcp-keepalive, so that a \
             lost one may end a living connection; {} does",
            Typed(patience),
            Typed(needed)
        )
    };
    (patience < needed).then(words)
}
