//! Every driver of the kernel keeps the contract of the seam.
//!
//! The churn is of 50,000 connections here; `HALFOPEN_CHURN=1000000` makes it a million.

use halfopen_sim::contract::Threads;

halfopen_sim::contract_suite!(tokio, Threads::new(halfopen_driver::tokio::run));
halfopen_sim::contract_suite!(epoll, Threads::new(halfopen_driver::epoll::run));
halfopen_sim::contract_suite!(ring, Threads::new(halfopen_driver::ring::run));
