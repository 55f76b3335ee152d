//! The methods of `ProxyMachine::Engine` about upstreams.

use std::time::Duration;

use magnus::{Error, Module, RArray, RClass, Ruby, Value, method};

use super::Engine;
use crate::upstreams::{RubyUpstreams, addresses, status};

impl Engine {
    /// `set_upstream_servers(name, [[text, weight], …])`: see `upstreams.rs`.
    fn set_upstream_servers(ruby: &Ruby, this: &Self, name: String, servers: RArray) -> Result<bool, Error> {
        RubyUpstreams::set_servers(ruby, &this.config.upstreams, &name, servers)
    }

    /// `set_server_check(name, server, result, reason)`: see `upstreams.rs`.
    fn set_server_check(&self, name: String, server: String, result: Value, reason: Option<String>) {
        RubyUpstreams::set_check(&self.config.upstreams, &name, &server, result, reason);
    }

    /// `set_server_state(name, server, is_up, weight, reason)`: the state of a server that the checks of another worker have
    /// found. The weight is nil unless the check has set one.
    fn set_server_state(
        &self,
        name: String,
        server: String,
        is_up: bool,
        weight: Option<u32>,
        reason: Option<String>,
    ) {
        let reason = reason.unwrap_or_default();
        self.config.upstreams.set_state(&name, &server, is_up, weight, &reason);
    }

    /// `set_server_addresses(name, declared, ["IP:PORT", …])`: the addresses of a declared server that the lookups of another
    /// worker have found.
    fn set_server_addresses(&self, name: String, declared: String, list: Vec<String>) {
        self.config.upstreams.set_addresses(&name, &declared, addresses(list));
    }

    /// `upstream_events(seconds)`: see `upstreams.rs`.
    fn upstream_events(ruby: &Ruby, this: &Self, limit: Option<f64>) -> Result<RArray, Error> {
        this.shared.upstreams.events(ruby, limit)
    }

    /// `wake_upstreams`: ends the wait of `upstream_events`.
    fn wake_upstreams(&self) {
        self.shared.upstreams.wake();
    }

    /// `upstream_reached(name)`: the servers were started, or a client of another process has reached one. So `:stop` is due
    /// when they are idle.
    fn upstream_reached(&self, name: String) {
        self.config.upstreams.reached(&name);
    }

    /// `upstream_starting(name)`: another worker starts the servers.
    fn upstream_starting(&self, name: String) {
        self.config.upstreams.starting(&name);
    }

    /// `upstream_started(name, ok, ago)`: the start has ended so many seconds ago; false if it has raised.
    fn upstream_started(&self, name: String, ok: bool, ago: f64) {
        let ago = Duration::try_from_secs_f64(ago).unwrap_or(Duration::MAX);
        self.config.upstreams.started(&name, ok, ago);
    }

    /// `upstream_stopping(name)`: another worker wants to stop the servers. Returns false if clients of this process are
    /// connected or wait.
    fn upstream_stopping(&self, name: String) -> bool {
        self.config.upstreams.stopping(&name)
    }

    /// `upstream_stopped(name, outcome)`: the stop has ended: true, false if it has raised, nil if it was not tried.
    fn upstream_stopped(&self, name: String, outcome: Option<bool>) {
        self.config.upstreams.stopped(&name, outcome);
    }

    /// `run_upstream_checks(flag)`: whether this process checks servers natively and looks up names.
    fn run_upstream_checks(&self, does_checks: bool) {
        self.config.upstreams.set_does_checks(does_checks);
    }

    /// `share_upstream_checks(flag)`: whether the results of checks and lookups are events.
    fn share_upstream_checks(&self, shares_checks: bool) {
        self.config.upstreams.set_shares_checks(shares_checks);
    }

    /// `upstreams`: all upstreams and the states of their servers.
    fn upstreams(ruby: &Ruby, this: &Self) -> Result<RArray, Error> {
        status(ruby, &this.config.upstreams)
    }
}

/// Defines the methods.
pub fn init(class: RClass) -> Result<(), Error> {
    class.define_method("set_upstream_servers", method!(Engine::set_upstream_servers, 2))?;
    class.define_method("set_server_check", method!(Engine::set_server_check, 4))?;
    class.define_method("set_server_state", method!(Engine::set_server_state, 5))?;
    class.define_method("set_server_addresses", method!(Engine::set_server_addresses, 3))?;
    class.define_method("upstream_events", method!(Engine::upstream_events, 1))?;
    class.define_method("wake_upstreams", method!(Engine::wake_upstreams, 0))?;
    class.define_method("upstream_reached", method!(Engine::upstream_reached, 1))?;
    class.define_method("upstream_starting", method!(Engine::upstream_starting, 1))?;
    class.define_method("upstream_started", method!(Engine::upstream_started, 3))?;
    class.define_method("upstream_stopping", method!(Engine::upstream_stopping, 1))?;
    class.define_method("upstream_stopped", method!(Engine::upstream_stopped, 2))?;
    class.define_method("run_upstream_checks", method!(Engine::run_upstream_checks, 1))?;
    class.define_method("share_upstream_checks", method!(Engine::share_upstream_checks, 1))?;
    class.define_method("upstreams", method!(Engine::upstreams, 0))?;
    Ok(())
}
