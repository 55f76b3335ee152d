//! State that the engine threads and the Ruby threads share.

use std::collections::{HashSet, VecDeque};
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proxymachine_admin::snapshot::SlowCall;
use proxymachine_engine::{Client, Limits, Verdict};

use crate::access_log::AccessLog;
use crate::backend_stats::BackendCounters;
use crate::event::Block;
use crate::lock;
use crate::log::{Line, Severity};
use crate::mailbox::Mailbox;
use crate::recent_failures::RecentFailures;
use crate::recorder::Recorder;
use crate::upstreams::RubyUpstreams;

/// Slow calls that the admin address shows.
const MAX_SLOW_CALLS: usize = 20;

/// Unknown keys of answers that the log names. The limit bounds the memory if a config makes up keys.
const MAX_UNKNOWN_KEYS: usize = 50;

/// A field of a JSON log line.
pub type Field<'a> = (&'static str, &'a dyn Display);

/// State that the engine threads and the Ruby threads share.
pub struct RubyShared {
    pub mailbox: Arc<Mailbox>,
    /// Whether the logger takes INFO lines; if not, they are not even formatted.
    pub is_info: AtomicBool,
    /// The setting `dontlognull`.
    pub dontlognull: AtomicBool,
    /// Whether the process title has to be renewed.
    pub is_title_stale: AtomicBool,
    pub is_draining: AtomicBool,
    pub configured_blocks: ConfiguredBlocks,
    pub access_log: AccessLog,
    pub recorder: Recorder,
    pub backends: BackendCounters,
    pub failures: RecentFailures,
    pub upstreams: RubyUpstreams,
    /// The counts by source and by key; set once the engine runs.
    pub limits: OnceLock<Arc<Limits>>,
    /// Whether log lines are JSON, so that they need fields.
    pub is_json: AtomicBool,
    /// `log_connection_id`: whether a text line about a connection ends with its identifier and client.
    pub shows_id: AtomicBool,
    /// `slow_block` in nanoseconds.
    slow_block: AtomicU64,
    /// The last slow calls, the newest first.
    slow_calls: Mutex<VecDeque<SlowCall>>,
    /// Unknown keys of answers that the log has named.
    unknown_keys: Mutex<HashSet<String>>,
}

/// The optional blocks of the config. The engine does not ask for a block that is not configured.
#[derive(Default)]
pub struct ConfiguredBlocks {
    /// `proxy_accept`
    pub accept: AtomicBool,
    /// `proxy_timeout`
    pub timeout: AtomicBool,
    /// Whether at least one block takes the client as an argument.
    pub client: AtomicBool,
}

impl RubyShared {
    /// Returns the state for `threads` engine threads.
    pub fn new(threads: usize) -> Self {
        Self {
            mailbox: Arc::new(Mailbox::new(threads)),
            is_info: AtomicBool::new(true),
            dontlognull: AtomicBool::new(false),
            is_title_stale: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            configured_blocks: ConfiguredBlocks::default(),
            access_log: AccessLog::default(),
            recorder: Recorder::default(),
            backends: BackendCounters::default(),
            failures: RecentFailures::default(),
            upstreams: RubyUpstreams::new(),
            limits: OnceLock::new(),
            is_json: AtomicBool::new(false),
            shows_id: AtomicBool::new(false),
            slow_block: AtomicU64::new(u64::MAX),
            slow_calls: Mutex::default(),
            unknown_keys: Mutex::default(),
        }
    }

    /// Notes an unknown key of an answer. Returns whether the log has not named the key yet.
    pub fn is_new_unknown_key(&self, key: &str) -> bool {
        let mut known = lock(&self.unknown_keys);
        known.len() < MAX_UNKNOWN_KEYS && known.insert(key.chars().take(100).collect())
    }

    /// Sets the duration above which a call is slow. None: no call is slow.
    pub fn set_slow_block(&self, limit: Option<Duration>) {
        let nanos = limit.and_then(|limit| u64::try_from(limit.as_nanos()).ok()).unwrap_or(u64::MAX);
        self.slow_block.store(nanos, Relaxed);
    }

    /// Returns whether a call of this duration is slow.
    pub fn is_slow(&self, duration: Duration) -> bool {
        duration.as_nanos() > u128::from(self.slow_block.load(Relaxed))
    }

    /// Adds a slow call for the admin address.
    pub fn add_slow_call(
        &self,
        client: &Client,
        block: Block,
        queue_wait: Duration,
        block_time: Duration,
        verdict: Option<&Verdict>,
    ) {
        let endpoint = client.endpoint();
        let call = SlowCall {
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            client: client.to_string(),
            listener: endpoint.name().unwrap_or_else(|| endpoint.address()).into(),
            block: block.verb().into(),
            queue_wait: queue_wait.as_secs_f64(),
            block_time: block_time.as_secs_f64(),
            answer: match verdict {
                Some(Verdict::Connect(route)) => route.to_string(),
                Some(Verdict::Close(_)) => "close".into(),
                Some(Verdict::Wait(_)) => "wait".into(),
                Some(Verdict::Tls(_)) => "tls".into(),
                Some(Verdict::Fault(_)) | None => "none".into(),
            },
        };
        let mut calls = lock(&self.slow_calls);
        calls.truncate(MAX_SLOW_CALLS - 1);
        calls.push_front(call);
    }

    /// Returns the last slow calls, the newest first.
    pub fn slow_calls(&self) -> Vec<SlowCall> {
        lock(&self.slow_calls).iter().cloned().collect()
    }

    /// Returns a log line. A line about a connection has its client and its identifier: always as JSON, and at the end
    /// of a text line if `log_connection_id` is on.
    pub fn line(
        &self,
        severity: Severity,
        client: Option<&Client>,
        fields: &[Field<'_>],
        mut text: String,
    ) -> Line {
        if !self.is_json.load(Relaxed) {
            if let Some(client) = client.filter(|_| self.shows_id.load(Relaxed)) {
                text += &format!(" [{} {client}]", client.id());
            }
            return Line::new(severity, text);
        }
        let mut all = Vec::with_capacity(fields.len() + 2);
        if let Some(client) = client {
            all.push(("client", client.to_string()));
            all.push(("connection", client.id().to_string()));
        }
        all.extend(fields.iter().map(|(name, value)| (*name, value.to_string())));
        Line::new(severity, text).with(Some(all.into()))
    }
}
