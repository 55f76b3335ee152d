//! The whole engine on loopback: real sockets, real threads, routers that are closures.

mod accounts;
mod bulk;
mod connection_limit;
mod decisions;
mod dialing;
mod drains;
mod early_late;
mod failover;
mod half_close;
mod header;
mod idle;
mod limits;
mod random;
mod reloads;
mod resets;
#[path = "../support/mod.rs"]
mod support;
mod unix_sockets;
