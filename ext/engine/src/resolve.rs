//! The addresses of a name, as they become known (RFC 8305, section 3).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use dns_lookup::{AddrInfoHints, getaddrinfo};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long the resolver may take for both families together. Then each is asked for by itself: a name
/// server that is silent about one must not hold up the other.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long IPv4 then waits for IPv6 (RFC 8305, section 8).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// Each takes a thread. When these are taken there is a greater trouble than one family.
static BY_FAMILY: Semaphore = Semaphore::const_new(64);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Both,
    V4,
    V6,
}

/// Addresses that belong together, the best first.
pub(crate) type Answer = io::Result<Vec<SocketAddr>>;

/// Asks the resolver for the addresses of a name, of `local`'s family if there is one. What it says comes
/// in one answer or two, in which an address may stand twice.
pub(crate) fn resolve(host: &str, port: u16, local: Option<SocketAddr>) -> Receiver<Answer> {
    let family = match local {
        None => Family::Both,
        Some(SocketAddr::V4(_)) => Family::V4,
        Some(SocketAddr::V6(_)) => Family::V6,
    };
    let (sender, receiver) = channel(2);
    let lookup = {
        let host = host.to_owned();
        move |family, permit| look_up(host.clone(), port, family, permit)
    };
    tokio::spawn(async move {
        tokio::select! {
            () = answer(&lookup, family, &BY_FAMILY, &sender) => {}
            () = sender.closed() => {}
        }
    });
    receiver
}

async fn answer<F, L>(lookup: L, family: Family, by_family: &'static Semaphore, sender: &Sender<Answer>)
where
    F: Future<Output = Answer>,
    L: Fn(Family, Option<SemaphorePermit<'static>>) -> F,
{
    let tell = async |answer| _ = sender.send(answer).await;
    let mut all = std::pin::pin!(lookup(family, None));
    if family != Family::Both {
        return tell(all.await).await;
    }
    if let Ok(answer) = timeout(PATIENCE, &mut all).await {
        return tell(answer).await;
    }
    let (Ok(one), Ok(other)) = (by_family.try_acquire(), by_family.try_acquire()) else {
        return tell(all.await).await;
    };
    let mut v6 = std::pin::pin!(lookup(Family::V6, Some(one)));
    let mut v4 = std::pin::pin!(lookup(Family::V4, Some(other)));
    let each = async {
        tokio::select! {
            biased;
            answer = &mut v6 => {
                tell(answer).await;
                tell(v4.await).await;
            }
            answer = &mut v4 => match timeout(RESOLUTION_DELAY, &mut v6).await {
                Ok(first) => {
                    tell(first).await;
                    tell(answer).await;
                }
                Err(_) => {
                    tell(answer).await;
                    tell(v6.await).await;
                }
            },
        }
    };
    tokio::select! {
        biased;
        answer = &mut all => tell(answer).await,
        () = each => {}
    }
}

/// getaddrinfo(3), on a thread of its own.
async fn look_up(
    host: String,
    port: u16,
    family: Family,
    permit: Option<SemaphorePermit<'static>>,
) -> Answer {
    let address = match family {
        Family::Both => libc::AF_UNSPEC,
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    let hints = AddrInfoHints { address, socktype: libc::SOCK_STREAM, ..AddrInfoHints::default() };
    spawn_blocking(move || {
        let _until_it_is_done = permit;
        getaddrinfo(Some(&host), Some(&port.to_string()), Some(hints))?
            .map(|found| found.map(|found| found.sockaddr))
            .collect()
    })
    .await?
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    /// Milliseconds after which a lookup answers; None is never, or that the name has no such address.
    type Script = [(Family, u64, Option<&'static str>); 3];

    /// What is told, and after how many milliseconds.
    fn told(script: Script, family: Family) -> Vec<(Option<String>, u128)> {
        told_with(2, script, family)
    }

    /// The same when so many may be asked for by family.
    fn told_with(permits: usize, script: Script, family: Family) -> Vec<(Option<String>, u128)> {
        let by_family = Box::leak(Box::new(Semaphore::new(permits)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let (sender, mut receiver) = channel::<Answer>(2);
            let start = Instant::now();
            let lookup = |family, _permit| async move {
                let (_, after, address) = script.into_iter().find(|(whose, ..)| *whose == family).unwrap();
                sleep(Duration::from_millis(after)).await;
                let address = address.ok_or(io::ErrorKind::NotFound)?;
                Ok(vec![address.parse().unwrap()])
            };
            let mut told = Vec::new();
            let listen = async {
                while let Some(answer) = receiver.recv().await {
                    told.push((answer.ok().map(|all| all[0].to_string()), start.elapsed().as_millis()));
                }
            };
            let ask = async {
                answer(lookup, family, by_family, &sender).await;
                drop(sender);
            };
            tokio::join!(ask, listen);
            told
        })
    }

    const V4: Option<&str> = Some("1.0.0.1:1");
    const V6: Option<&str> = Some("[::1]:1");
    const NEVER: u64 = 1_000_000;

    fn some(address: Option<&str>, after: u128) -> (Option<String>, u128) {
        (address.map(str::to_owned), after)
    }

    #[test]
    fn an_answer_in_time_is_all() {
        let script = [(Family::Both, 200, V6), (Family::V6, 0, V6), (Family::V4, 0, V4)];
        assert_eq!(told(script, Family::Both), [some(V6, 200)]);
    }

    #[test]
    fn one_family_alone_is_waited_for() {
        let script = [(Family::Both, 0, V6), (Family::V6, 0, V6), (Family::V4, 3000, V4)];
        assert_eq!(told(script, Family::V4), [some(V4, 3000)]);
    }

    #[test]
    fn ipv4_does_not_wait_long_for_a_name_server_that_is_silent_about_ipv6() {
        let script = [(Family::Both, NEVER, V6), (Family::V6, 5000, None), (Family::V4, 20, V4)];
        assert_eq!(told(script, Family::Both), [some(V4, 320), some(None, 5250)]);
    }

    #[test]
    fn ipv6_does_not_wait_at_all_for_ipv4() {
        let script = [(Family::Both, NEVER, V6), (Family::V6, 20, V6), (Family::V4, 5000, V4)];
        assert_eq!(told(script, Family::Both), [some(V6, 270), some(V4, 5250)]);
    }

    #[test]
    fn ipv6_goes_before_ipv4_if_it_comes_a_little_later() {
        let script = [(Family::Both, NEVER, V6), (Family::V6, 60, V6), (Family::V4, 20, V4)];
        assert_eq!(told(script, Family::Both), [some(V6, 310), some(V4, 310)]);
    }

    #[test]
    fn the_whole_answer_ends_the_waiting() {
        let script = [(Family::Both, 400, V6), (Family::V6, NEVER, V6), (Family::V4, 20, V4)];
        assert_eq!(told(script, Family::Both), [some(V4, 320), some(V6, 400)]);
    }

    #[test]
    fn only_so_many_are_asked_for_by_family_at_once() {
        let script = [(Family::Both, 9000, V6), (Family::V6, 0, V6), (Family::V4, 0, V4)];
        assert_eq!(told_with(1, script, Family::Both), [some(V6, 9000)]);
    }
}
