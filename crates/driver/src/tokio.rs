//! To come.

use crate::{Config, Engine, Error};

/// Runs `engine` until it says [`Op::Stop`](crate::Op::Stop).
pub fn run<E: Engine>(_engine: &mut E, _config: Config) -> Result<(), Error> {
    todo!()
}
