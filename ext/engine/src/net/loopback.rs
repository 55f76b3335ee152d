//! Options and checks for connections over the loopback interface.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::OnceLock;

use socket2::Socket;

/// A congestion control without pacing that every Linux has and every user may choose (tcp(7), `TCP_CONGESTION`).
const UNPACED: &[u8] = b"reno";

/// File with the default congestion control (tcp(7)).
const DEFAULT: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// Disables BBR's pacing for a socket that connects to, or listens at, a loopback address.
///
/// BBR estimates the rate of a path and paces packets with a timer (draft-ietf-ccwg-bbr, section 5.6.2, "Pacing
/// Rate"). On the loopback interface there is no rate to estimate, and the timers are a third of the cost of bulk. So
/// if BBR is the system's default, such a socket uses another congestion control. Sockets to other machines keep the
/// operator's choice.
///
/// Must be called before the connection is established; accepted sockets inherit the option from their listener.
pub(crate) fn disable_pacing(socket: &Socket, address: SocketAddr) {
    if address.ip().to_canonical().is_loopback() && is_paced_by_default() {
        let _ = socket.set_tcp_congestion(UNPACED);
    }
}

/// Tells whether the system's default paces. The file is read once, since the default hardly changes.
fn is_paced_by_default() -> bool {
    static PACED: OnceLock<bool> = OnceLock::new();
    *PACED.get_or_init(|| std::fs::read_to_string(DEFAULT).is_ok_and(|name| name.starts_with("bbr")))
}

/// File with the range of ephemeral ports (ip(7)).
const PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Tells whether a socket is connected to itself. That happens if no process listens at the port and the kernel chooses
/// the same port to connect from: a simultaneous open (RFC 9293, section 3.5).
pub(crate) fn is_self_connected(socket: &Socket, remote: SocketAddr) -> bool {
    remote.ip().to_canonical().is_loopback()
        && ports().contains(&remote.port())
        && socket.local_addr().is_ok_and(|local| local.as_socket() == Some(remote))
}

/// Returns the range of ephemeral ports, which is read once; all ports if it is unknown.
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
    fn pacing_is_disabled_for_loopback_addresses_only() {
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
            disable_pacing(&socket, address);
            let is_changed = socket.tcp_congestion().unwrap() != default;
            assert_eq!(is_changed, is_local && is_paced_by_default(), "{address}");
            assert!(!is_changed || socket.tcp_congestion().unwrap().starts_with(UNPACED));
        }
    }
}
