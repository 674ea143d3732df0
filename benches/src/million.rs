//! A million idle connections: what the machine has to allow, how much memory they take, and whether
//! what was promised was kept. The run itself is `halfopen lab`; see the program `million`.

pub mod memory;
pub mod preflight;
pub mod verdict;
