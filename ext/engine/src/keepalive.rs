//! How it is noticed that a peer has vanished without a word.

use std::time::Duration;

use socket2::{Socket, TcpKeepalive};

use crate::Config;

/// The kernel's own way of asking (tcp(7)): probes to a silent peer, and a limit to how long it may leave
/// unanswered what it was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keepalive {
    pub(crate) after: Option<Duration>,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))] // Others have no such thing.
    pub(crate) user_timeout: Option<Duration>,
}

impl Keepalive {
    pub(crate) fn of(config: &Config) -> Self {
        Self { after: config.keepalive, user_timeout: config.user_timeout }
    }

    /// Sets it on a TCP socket. A system that does not know it goes without. Accepted sockets inherit it
    /// from their listener on Linux.
    pub(crate) fn apply(self, socket: &Socket) {
        if let Some(after) = self.after {
            let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(after));
        }
        #[cfg(target_os = "linux")]
        if self.user_timeout.is_some() {
            let _ = socket.set_tcp_user_timeout(self.user_timeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_has_what_the_config_says_and_nothing_that_it_does_not_say() {
        let seconds = Duration::from_secs;
        for (after, user_timeout) in [(Some(seconds(7)), Some(seconds(9))), (None, None)] {
            let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            Keepalive::of(&Config { keepalive: after, user_timeout, ..Config::default() }).apply(&socket);
            assert_eq!(socket.keepalive().unwrap(), after.is_some());
            if let Some(after) = after {
                assert_eq!(socket.tcp_keepalive_time().unwrap(), after);
            }
            #[cfg(target_os = "linux")]
            assert_eq!(socket.tcp_user_timeout().unwrap(), user_timeout);
        }
    }
}
