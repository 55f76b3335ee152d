//! The tasks that watch upstreams: checks of their servers, lookups of their names, and attempts to reach a server while
//! clients are held.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Event, Upstream, Upstreams};
use crate::Remote;
use crate::dial::resolver::{Family, Resolver};
use crate::dial::{Attempt, AttemptError, check_backend};

/// Time between two rounds of attempts to reach a server while clients are held.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// Servers that are tried at once while clients are held.
const MAX_PROBES: usize = 64;

/// Longest time between the first checks of two servers.
const MAX_STAGGER: Duration = Duration::from_millis(2);

/// What a task of a watched upstream does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Job {
    /// Checks a server.
    Check(Box<str>),
    /// Looks up a name.
    LookUp(Box<str>),
}

/// Checks the servers of all upstreams and looks up their names, as the options say.
pub(crate) async fn watch(upstreams: &Upstreams, resolver: &Arc<Resolver>) {
    let mut tasks = JoinSet::new();
    let mut running: HashMap<(usize, Job, Duration), AbortHandle> = HashMap::new();
    loop {
        // Created before the upstreams are read, so that no change is missed.
        let mut changed = std::pin::pin!(upstreams.hub.upstreams_changed.notified());
        changed.as_mut().enable();
        let mut before = std::mem::take(&mut running);
        let all = if upstreams.hub.does_checks.load(Relaxed) { upstreams.all() } else { Vec::new() };
        for upstream in all {
            // A task holds its upstream, so that no other one has its address.
            let address = Arc::as_ptr(&upstream) as usize;
            for (index, (job, interval, remote)) in upstream.jobs().into_iter().enumerate() {
                let id = (address, job.clone(), interval);
                let handle = before.remove(&id).unwrap_or_else(|| {
                    let (upstream, resolver) = (Arc::clone(&upstream), Arc::clone(resolver));
                    match job {
                        Job::Check(_) => tasks.spawn(check(upstream, remote, interval, index, resolver)),
                        Job::LookUp(_) => tasks.spawn(look_up(upstream, remote, interval, resolver)),
                    }
                });
                running.insert(id, handle);
            }
        }
        before.values().for_each(AbortHandle::abort);
        while tasks.try_join_next().is_some() {}
        changed.await;
    }
}

impl Upstream {
    /// Lists what is to be done regularly, how often, and with which server or name.
    fn jobs(&self) -> Vec<(Job, Duration, Remote)> {
        let inner = self.lock();
        let options = &inner.state.options;
        let mut jobs = Vec::new();
        if let Some(interval) = options.check.filter(|_| !options.is_checked_outside) {
            let servers = inner.state.listed().map(|(_, server)| server.remote.clone());
            jobs.extend(servers.map(|remote| (Job::Check(remote.as_str().into()), interval, remote)));
        }
        if let Some(interval) = options.resolve {
            let names = inner.declared.iter().map(|(remote, _)| remote);
            let names = names.filter(|remote| remote.literal().is_none() && remote.unix().is_none());
            jobs.extend(names.map(|name| (Job::LookUp(name.as_str().into()), interval, name.clone())));
        }
        jobs
    }

    /// Lists the servers that take new connections.
    fn probed(&self) -> Vec<Remote> {
        let inner = self.lock();
        let servers = inner.state.listed().filter(|(_, server)| server.weight() > 0);
        servers.map(|(_, server)| server.remote.clone()).collect()
    }

    /// Checks a server within the limit of a check.
    async fn try_server(&self, remote: &Remote, resolver: &Arc<Resolver>) -> Result<(), AttemptError> {
        let (limit, tls, declared) = {
            let inner = self.lock();
            let (state, options) = (&inner.state, &inner.state.options);
            let server = state.find(remote.as_str()).map(|slot| state.server(slot).declared.clone());
            (options.check_timeout, options.tls.clone(), server.unwrap_or_else(|| remote.clone()))
        };
        let attempt =
            Attempt { remote, declared: &declared, tls: tls.as_ref(), limit, local: None, has_next: true };
        check_backend(resolver, &attempt).await
    }
}

/// Checks one server at intervals.
async fn check(
    upstream: Arc<Upstream>,
    remote: Remote,
    interval: Duration,
    index: usize,
    resolver: Arc<Resolver>,
) {
    // The checks of many servers do not begin at once.
    let count = u32::try_from(index).unwrap_or(u32::MAX);
    sleep(MAX_STAGGER.saturating_mul(count).min(interval)).await;
    let mut next = Instant::now();
    loop {
        let checked = upstream.try_server(&remote, &resolver).await;
        match checked {
            Ok(()) => upstream.record_check(remote.as_str(), true, None, ""),
            Err(error) if error.is_of_backend() => {
                upstream.record_check(remote.as_str(), false, None, &error.to_string());
            }
            // This machine could not check, which says nothing about the server.
            Err(_) => {}
        }
        next = Instant::now().max(next + interval);
        sleep_until(next).await;
    }
}

/// Looks up one name at intervals. If that fails, the last addresses stay.
async fn look_up(upstream: Arc<Upstream>, name: Remote, interval: Duration, resolver: Arc<Resolver>) {
    loop {
        let found = resolver.look_up(&Arc::from(name.host()), name.port(), Family::Both, false).await;
        if let Ok(mut addresses) = found {
            addresses.sort();
            addresses.dedup();
            if !addresses.is_empty() {
                upstream.found(&name, addresses);
            }
        }
        sleep(interval).await;
    }
}

impl Upstream {
    fn found(self: &Arc<Self>, name: &Remote, addresses: Vec<SocketAddr>) {
        if self.set_addresses(name.as_str(), addresses.clone()) {
            let (upstream, name) = (Arc::clone(&self.name), name.clone());
            self.hub.share(Event::Resolved { upstream, name, addresses });
        }
    }
}

/// Tries to reach a server of the upstream as long as clients are held, unless another task does or checks are made outside of
/// the engine.
pub(crate) fn probe(upstream: &Arc<Upstream>, resolver: &Arc<Resolver>) {
    {
        let mut inner = upstream.lock();
        if inner.state.options.is_checked_outside || std::mem::replace(&mut inner.is_probed, true) {
            return;
        }
    }
    let (upstream, resolver) = (Arc::clone(upstream), Arc::clone(resolver));
    tokio::spawn(async move {
        let _done = Probing(Arc::clone(&upstream));
        let mut offset = 0;
        while upstream.lock().state.demand.held() > 0 {
            let servers = upstream.probed();
            let mut attempts = JoinSet::new();
            for remote in servers.iter().cycle().skip(offset).take(servers.len().min(MAX_PROBES)) {
                let (remote, upstream, resolver) =
                    (remote.clone(), Arc::clone(&upstream), Arc::clone(&resolver));
                attempts.spawn(async move {
                    if upstream.try_server(&remote, &resolver).await.is_ok() {
                        upstream.answers(&remote);
                    }
                });
            }
            offset = if servers.is_empty() { 0 } else { (offset + MAX_PROBES) % servers.len() };
            while attempts.join_next().await.is_some() {}
            sleep(PROBE_INTERVAL).await;
        }
    });
}

/// Marks the upstream as being probed.
struct Probing(Arc<Upstream>);

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.lock().is_probed = false;
    }
}

impl Upstream {
    /// Records that a server accepts connections, while clients are held.
    fn answers(self: &Arc<Self>, remote: &Remote) {
        self.change(|inner, _| {
            if let Some(slot) = inner.state.find(remote.as_str()) {
                inner.state.answers(slot);
            }
        });
    }
}
