//! Which driver, and a word where it is not the usual one.

use halfopen_server::DriverKind;

/// The driver that `asked` comes to, and what is to be said of it: that io_uring is refused.
pub(crate) fn choose(asked: DriverKind) -> (DriverKind, Option<String>) {
    let choice = asked.resolve();
    let driver = choice.driver;
    let note = choice.refused.map(|error| format!("note: {error}; {} instead", driver.name()));
    (driver, note)
}
