//! The methods of `ProxyMachine::Engine` about the admin address, and about the counts that it shows.

use magnus::{Error, Module, RArray, RClass, RHash, Ruby, method};
use proxymachine_engine::Listener;

use super::Engine;
use crate::convert::{SocketTriple, describe, inherit};
use crate::{error, gvl, lock, tls};

impl Engine {
    /// `bind_admin(address, about, inherited)`: binds the admin address. `about` is a Hash with `:name`,
    /// `:version`, `:ruby` and optionally `:user` and `:group`, the ids of the owner of a Unix socket's file.
    /// Returns the port, nil for a Unix socket.
    fn bind_admin(
        ruby: &Ruby,
        this: &Self,
        address: String,
        about: RHash,
        inherited: Vec<(i32, String)>,
    ) -> Result<Option<u16>, Error> {
        let (port, open) = this.admin.bind(ruby, address, about, inherit(ruby, &inherited)?)?;
        lock(&this.unused_files).extend(open.into_iter().filter_map(Listener::into_file));
        Ok(port)
    }

    /// `show_settings(texts, connections)`: gives the admin address the settings by name, and the connection
    /// limit.
    fn show_settings(&self, texts: RHash, connections: u64) -> Result<(), Error> {
        self.admin.show_settings(texts, connections)
    }

    /// `show_certificates(all)`: gives the admin address the certificates of the config.
    fn show_certificates(&self, all: RArray) -> Result<(), Error> {
        let all = (0..all.len()).map(|index| Ok(tls::certificates(all.entry(index as isize)?)));
        let all = all.collect::<Result<Vec<_>, Error>>()?;
        self.admin.show_certificates(all.into_iter().flatten().collect());
        Ok(())
    }

    /// `admin_sockets`: the listening sockets of the admin address.
    fn admin_sockets(&self) -> Vec<SocketTriple> {
        self.admin.inspect(|listeners| listeners.iter().map(describe).collect()).unwrap_or_default()
    }

    /// `stop_admin`: stops the admin server and releases its address. A `run` that returns does the same.
    fn stop_admin(&self) {
        self.admin.stop();
    }

    /// `aggregate(directory)`: serves the sum of all workers at the admin address. The admin sockets of the
    /// workers are in `directory`.
    fn aggregate(ruby: &Ruby, this: &Self, directory: String) -> Result<(), Error> {
        gvl::without_signals(|| this.admin.start_aggregate(&directory))
            .map_err(|error| error::start(ruby, &error.into()))
    }

    /// `counts`: the counters of the admin address as JSON, for `carry_counts` in another process; nil
    /// without an admin address.
    fn counts(&self) -> Option<String> {
        self.admin.counts()
    }

    /// `carry_counts(process, json)`: adds the counters of an earlier process at the admin address. They replace
    /// those with the same number; nil removes them.
    fn carry_counts(&self, process: i32, json: Option<String>) {
        self.admin.carry_counts(process, json.as_deref());
    }

    /// `carry_over(max, total)`: adds the connections that an earlier process counted.
    fn carry_over(&self, max: u64, total: u64) {
        if let Some(stats) = self.stats.get() {
            stats.carry_over(max, total);
        }
    }

    /// `stats`: `[current, max, total]` connections.
    pub(super) fn stats(&self) -> (u64, u64, u64) {
        self.stats.get().map_or((0, 0, 0), |stats| (stats.current(), stats.max(), stats.total()))
    }
}

/// Defines the methods.
pub fn init(class: RClass) -> Result<(), Error> {
    class.define_method("bind_admin", method!(Engine::bind_admin, 3))?;
    class.define_method("show_settings", method!(Engine::show_settings, 2))?;
    class.define_method("show_certificates", method!(Engine::show_certificates, 1))?;
    class.define_method("admin_sockets", method!(Engine::admin_sockets, 0))?;
    class.define_method("stop_admin", method!(Engine::stop_admin, 0))?;
    class.define_method("aggregate", method!(Engine::aggregate, 1))?;
    class.define_method("counts", method!(Engine::counts, 0))?;
    class.define_method("carry_counts", method!(Engine::carry_counts, 2))?;
    class.define_method("carry_over", method!(Engine::carry_over, 2))?;
    class.define_method("stats", method!(Engine::stats, 0))
}
