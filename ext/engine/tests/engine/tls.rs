//! TLS through the whole engine, with rustls's own client and server.

mod ending;
mod faults;
mod peers;
mod starting;
