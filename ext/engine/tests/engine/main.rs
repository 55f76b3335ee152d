//! The whole engine on the loopback interface, with real sockets and threads.

mod accept_and_timeout;
mod connection_limit;
mod decisions;
mod dialing;
mod drain;
mod failover;
mod half_close;
mod idle_timeout;
mod key_limits;
mod max_preread;
mod not_served;
mod proxy_header;
mod random_clients;
mod records;
mod reload;
mod resets;
mod source_limits;
mod streaming;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod unix_sockets;
mod upstreams;
