//! Certificates and authorities: files, selection by name, client certificates, tickets. The handshakes happen in memory.

mod clients;
mod files;
mod selection;
mod sessions;
mod support;
