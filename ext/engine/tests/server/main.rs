//! The whole engine on loopback: real sockets, real threads, routers that are closures.

mod accounts;
mod bulk;
mod decisions;
mod dialing;
mod drains;
mod half_close;
mod limits;
mod random;
mod resets;
#[path = "../support/mod.rs"]
mod support;
