//! Parses `--name value` arguments.

use std::collections::HashMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

pub struct Args {
    pub mode: String,
    values: HashMap<String, String>,
}

impl Args {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mode = words.next().ok_or("a mode is missing")?;
        let mut values = HashMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("not an option: {word}"))?;
            let value = words.next().ok_or_else(|| format!("--{name} has no value"))?;
            values.insert(name.to_owned(), value);
        }
        Ok(Self { mode, values })
    }

    /// Returns the option's value, or `default` if the option is missing.
    pub fn get<T: FromStr>(&self, name: &str, default: T) -> Result<T, String>
    where
        T::Err: Debug,
    {
        match self.values.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|e| format!("--{name} {text}: {e:?}")),
        }
    }

    pub fn seconds(&self, name: &str, default: f64) -> Result<Duration, String> {
        Duration::try_from_secs_f64(self.get(name, default)?).map_err(|e| format!("--{name}: {e}"))
    }

    pub fn text(&self, name: &str, default: &str) -> String {
        self.values.get(name).map_or(default, String::as_str).to_owned()
    }

    /// Returns the address for the clients beside those that are measured.
    pub fn side_target(&self) -> Result<SocketAddr, String> {
        if self.values.contains_key("side-target") { self.local("side-target") } else { self.target() }
    }

    /// Returns the address for clients: the proxy, or the backend itself.
    pub fn target(&self) -> Result<SocketAddr, String> {
        self.local("target")
    }

    /// Returns the address on which this process listens at all of 127.0.0.0/8 as the backend.
    pub fn everywhere(&self) -> Result<SocketAddr, String> {
        Ok(SocketAddr::from(([0, 0, 0, 0], self.backend()?.port())))
    }

    /// Returns the address on which this process listens as the backend.
    pub fn backend(&self) -> Result<SocketAddr, String> {
        self.local("backend")
    }

    fn local(&self, name: &str) -> Result<SocketAddr, String> {
        match self.get(name, 0u16)? {
            0 => Err(format!("--{name} PORT is missing")),
            port => Ok(SocketAddr::from(([127, 0, 0, 1], port))),
        }
    }
}
