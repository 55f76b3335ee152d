//! Name resolution: the addresses of a name, as they become known (RFC 8305, section 3).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use crate::dial::resolver::{Family, Resolver};

/// Limit of a lookup of both families. Then each family is looked up by itself, so that a name server that is silent
/// about one family does not delay the other.
const BOTH_FAMILIES_TIMEOUT: Duration = Duration::from_millis(250);

/// Time for which IPv4 addresses then wait for IPv6 (RFC 8305, section 8).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// The result of one lookup, the best address first.
pub(crate) type Addresses = io::Result<Vec<SocketAddr>>;

/// Looks up the addresses of a name, only in the family of `local` if it is set. The receiver gets one or two results,
/// and the same address may be in both.
pub(crate) fn resolve(
    resolver: &Arc<Resolver>,
    host: &str,
    port: u16,
    local: Option<SocketAddr>,
) -> Receiver<Addresses> {
    let family = match local {
        None => Family::Both,
        Some(SocketAddr::V4(_)) => Family::V4,
        Some(SocketAddr::V6(_)) => Family::V6,
    };
    let (sender, receiver) = channel(2);
    let (resolver, host) = (Arc::clone(resolver), Arc::<str>::from(host));
    tokio::spawn(async move {
        let lookup = |asked| resolver.look_up(&host, port, asked, asked != family);
        tokio::select! {
            () = answer(lookup, family, &sender) => {}
            () = sender.closed() => {}
        }
    });
    receiver
}

async fn answer<F, L>(lookup: L, family: Family, sender: &Sender<Addresses>)
where
    F: Future<Output = Addresses>,
    L: Fn(Family) -> F,
{
    let tell = async |answer| _ = sender.send(answer).await;
    let mut all = std::pin::pin!(lookup(family));
    if family != Family::Both {
        return tell(all.await).await;
    }
    if let Ok(answer) = timeout(BOTH_FAMILIES_TIMEOUT, &mut all).await {
        return tell(answer).await;
    }
    let mut v6 = std::pin::pin!(lookup(Family::V6));
    let mut v4 = std::pin::pin!(lookup(Family::V4));
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

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    /// For each lookup: the milliseconds until it answers, and the address; `None` if the name has none.
    type Script = [(Family, u64, Option<&'static str>); 3];

    /// Returns the results, and the milliseconds after which they came.
    fn told(script: Script, family: Family) -> Vec<(Option<String>, u128)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let (sender, mut receiver) = channel::<Addresses>(2);
            let start = Instant::now();
            let lookup = |family| async move {
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
                answer(lookup, family, &sender).await;
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
    fn an_early_result_for_both_families_is_the_only_one() {
        let script = [(Family::Both, 200, V6), (Family::V6, 0, V6), (Family::V4, 0, V4)];
        assert_eq!(told(script, Family::Both), [some(V6, 200)]);
    }

    #[test]
    fn a_single_family_has_no_time_limit() {
        let script = [(Family::Both, 0, V6), (Family::V6, 0, V6), (Family::V4, 3000, V4)];
        assert_eq!(told(script, Family::V4), [some(V4, 3000)]);
    }

    #[test]
    fn ipv4_waits_only_shortly_for_ipv6() {
        let script = [(Family::Both, NEVER, V6), (Family::V6, 5000, None), (Family::V4, 20, V4)];
        assert_eq!(told(script, Family::Both), [some(V4, 320), some(None, 5250)]);
    }

    #[test]
    fn ipv6_does_not_wait_for_ipv4() {
        let script = [(Family::Both, NEVER, V6), (Family::V6, 20, V6), (Family::V4, 5000, V4)];
        assert_eq!(told(script, Family::Both), [some(V6, 270), some(V4, 5250)]);
    }

    #[test]
    fn ipv6_that_comes_shortly_after_ipv4_goes_first() {
        let script = [(Family::Both, NEVER, V6), (Family::V6, 60, V6), (Family::V4, 20, V4)];
        assert_eq!(told(script, Family::Both), [some(V6, 310), some(V4, 310)]);
    }

    #[test]
    fn the_result_for_both_families_ends_the_lookups_by_family() {
        let script = [(Family::Both, 400, V6), (Family::V6, NEVER, V6), (Family::V4, 20, V4)];
        assert_eq!(told(script, Family::Both), [some(V4, 320), some(V6, 400)]);
    }
}
