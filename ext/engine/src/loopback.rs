//! What is different about connections within this machine.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
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
pub(crate) fn set_unpaced(socket: &Socket, address: SocketAddr) {
    if address.ip().to_canonical().is_loopback() && is_paced_by_default() {
        let _ = socket.set_tcp_congestion(UNPACED);
    }
}

/// Asked once: it is a file, and the system's default hardly changes.
fn is_paced_by_default() -> bool {
    static PACED: OnceLock<bool> = OnceLock::new();
    *PACED.get_or_init(|| std::fs::read_to_string(DEFAULT).is_ok_and(|name| name.starts_with("bbr")))
}

/// Where Linux tells which ports connections get (ip(7)).
const PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Whether a connection has itself at its other end: nobody listens there, and the kernel has chosen just that port
/// to connect from, which TCP calls a simultaneous open (RFC 9293, section 3.5).
pub(crate) fn is_to_itself(socket: &Socket, remote: SocketAddr) -> bool {
    remote.ip().to_canonical().is_loopback()
        && ports().contains(&remote.port())
        && socket.local_addr().is_ok_and(|local| local.as_socket() == Some(remote))
}

/// Asked once, too. All ports, where it is not told.
fn ports() -> &'static RangeInclusive<u16> {
    static RANGE: OnceLock<RangeInclusive<u16>> = OnceLock::new();
    RANGE.get_or_init(|| {
        let text = std::fs::read_to_string(PORTS).unwrap_or_default();
        let mut ends = text.split_whitespace().map_while(|word| word.parse().ok());
        ends.next().unwrap_or(0)..=ends.next().unwrap_or(u16::MAX)
    })
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;

    #[test]
    fn only_what_stays_within_the_machine_goes_unpaced() {
        for (address, is_local) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("192.0.2.1:1", false),
            ("[2001:db8::1]:1", false),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            let Ok(socket) = Socket::new(Domain::for_address(address), Type::STREAM, None) else { continue };
            let default = socket.tcp_congestion().unwrap();
            set_unpaced(&socket, address);
            let is_changed = socket.tcp_congestion().unwrap() != default;
            assert_eq!(is_changed, is_local && is_paced_by_default(), "{address}");
            assert!(!is_changed || socket.tcp_congestion().unwrap().starts_with(UNPACED));
        }
    }
}
