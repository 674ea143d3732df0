//! The binary as its users see it: exit status, words, files.

mod demo;
mod lab;
mod load;
mod program;
mod report;
mod serve;
mod wrong_use;
