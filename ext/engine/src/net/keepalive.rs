//! TCP keepalive: detecting a peer that has vanished.

use std::time::Duration;

use socket2::{Socket, TcpKeepalive};

use crate::Config;

/// The options `TCP_KEEPIDLE` and `TCP_USER_TIMEOUT` (tcp(7)): probes to a silent peer, and a limit of the time that
/// bytes may stay unacknowledged.
#[derive(Debug, Clone, Copy)]
pub struct Keepalive {
    pub(crate) after: Option<Duration>,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))] // Other systems have no such option.
    pub(crate) user_timeout: Option<Duration>,
}

impl Keepalive {
    pub(crate) fn of(config: &Config) -> Self {
        Self { after: config.keepalive, user_timeout: config.user_timeout }
    }

    /// Sets the options of a TCP socket and ignores errors of a system without them. On Linux accepted sockets inherit
    /// the options from their listener.
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
    fn sockets_get_the_options_that_the_config_sets() {
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
