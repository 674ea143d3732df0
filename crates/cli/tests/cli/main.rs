//! The binary as its users see it: exit status, words, files.

mod admin;
mod calibrate;
mod demo;
mod doctor;
mod exposition;
mod flow;
mod lab;
mod load;
mod log;
mod manual;
mod namespace;
mod operations;
mod plan;
mod probe;
mod program;
mod promtool;
mod refused;
mod report;
mod serve;
mod servers;
mod stopped;
mod terminal;
mod text_heartbeats;
mod tls;
mod tune;
mod wrong_use;
