//! Bytes that stay within this machine are not paced.

use std::net::SocketAddr;
use std::sync::OnceLock;

use socket2::Socket;

/// Built into every Linux, allowed to everybody, and without a pace (tcp(7), `TCP_CONGESTION`).
const UNPACED: &[u8] = b"reno";

/// What a socket has otherwise (tcp(7)).
const DEFAULT: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// BBR finds out how much a path carries and sends at that pace, with a timer for each packet that has to wait
/// (draft-ietf-ccwg-bbr, section 5.6.2, "Pacing Rate"). The loopback is no such path: there the timers are all that
/// comes of it, a third of what bulk costs. So where BBR is the system's default, a socket that has its other end, or
/// listens, at a loopback address goes without. What leaves the machine is the operator's business.
///
/// To be called before the connection stands; accepted sockets inherit it from their listener.
pub(crate) fn unpaced_within_machine(socket: &Socket, address: SocketAddr) {
    if address.ip().to_canonical().is_loopback() && is_paced_by_default() {
        let _ = socket.set_tcp_congestion(UNPACED);
    }
}

/// Asked once: it is a file, and the system's default hardly changes.
fn is_paced_by_default() -> bool {
    static PACED: OnceLock<bool> = OnceLock::new();
    *PACED.get_or_init(|| std::fs::read_to_string(DEFAULT).is_ok_and(|name| name.starts_with("bbr")))
}
