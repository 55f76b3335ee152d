//! What is recorded of one connection.

use std::time::SystemTime;

use proxymachine_engine::net::zone::IpWithZone;
use proxymachine_engine::{Client, ConnectionRecord, End, Reason, RouterFault};
use serde::Serialize;

/// Limit for the bytes of one client.
const MAX_BYTES: usize = 64 * 1024;

/// The first bytes of a client, and the text beside them.
pub struct Recording {
    /// Name of the files without their endings. The order of the names is the order in time.
    pub name: String,
    /// The first bytes.
    pub bytes: Box<[u8]>,
    /// JSON: who, when and why.
    pub about: String,
}

impl Recording {
    /// Returns what is recorded of a connection that has ended for `end`; None if the connection is not recorded.
    pub fn new(client: &Client, record: &ConnectionRecord, end: &End, received: &[u8]) -> Option<Self> {
        let (reason, detail) = why(record, end)?;
        if received.is_empty() {
            return None;
        }
        let time = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
        let (address, endpoint, tls) = (client.address(), client.endpoint(), client.tls());
        let bytes = &received[..received.len().min(MAX_BYTES)];
        let about = About {
            time: &time,
            client: client.to_string(),
            ip: address.map(|address| IpWithZone(address).to_string()),
            port: address.map(|address| address.port()),
            listener: endpoint.name().unwrap_or_else(|| endpoint.address()),
            sni: tls.and_then(|tls| tls.sni.as_deref()),
            is_decrypted: tls.is_some(),
            reason,
            detail,
            bytes: bytes.len(),
            received: received.len(),
            connection: client.id().to_string(),
            pid: std::process::id(),
        };
        Some(Self {
            name: format!("{}-{}", time.replace(['-', ':'], ""), client.id()),
            bytes: bytes.into(),
            about: serde_json::to_string(&about).ok()? + "\n",
        })
    }

    /// Returns the number of bytes of both files.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.about.len()
    }
}

/// The text beside the bytes. docs/testing-routers.md lists the fields.
#[derive(Serialize)]
struct About<'a> {
    time: &'a str,
    client: String,
    ip: Option<String>,
    port: Option<u16>,
    listener: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sni: Option<&'a str>,
    #[serde(rename = "tls")]
    is_decrypted: bool,
    reason: &'static str,
    detail: String,
    bytes: usize,
    received: usize,
    connection: String,
    pid: u32,
}

/// Returns why a connection is recorded: in one of few words, and in detail. None if the connection is not recorded.
fn why(record: &ConnectionRecord, end: &End) -> Option<(&'static str, String)> {
    let (reason, detail) = match end {
        End::ClientLeft => ("undecided", "the client left before a decision".into()),
        End::PrereadFull { limit } => ("undecided", format!("no decision after {limit} bytes (max_preread)")),
        End::DecisionTimeout { limit, .. } => {
            ("undecided", format!("no decision after {:?}s (decision_timeout)", limit.as_secs_f64()))
        }
        End::Undecided => ("undecided", "no decision before the server ended".into()),
        End::RouterFailed { fault: RouterFault::InvalidAnswer } => {
            ("invalid answer", "the answer of the block is invalid; the log shows it".into())
        }
        End::RouterFailed { fault: RouterFault::Raised } => {
            ("exception", "the block raised an exception; the log shows it".into())
        }
        End::ConnectFailed => ("no server", no_server(record)),
        End::UpstreamFull { upstream } => ("no server", format!("upstream {upstream} is full")),
        // The client ended its side, perhaps as soon as it had sent its request.
        End::ClientLeftFirst if record.dial_failure().is_some() => ("no server", no_server(record)),
        End::ClosedByRouter
        | End::SourceLimit { .. }
        | End::KeyLimit { .. }
        | End::ServerDown { .. }
        | End::BadHeader { .. }
        | End::TlsFailed { .. }
        | End::ClearBeforeTls { .. }
        | End::ClosedPrematurely { .. }
        | End::Inactive { .. }
        | End::Idle { .. }
        | End::ClientLeftFirst
        | End::Relayed
        | End::Failed => return None,
    };
    Some((reason, detail))
}

fn no_server(record: &ConnectionRecord) -> String {
    let reason = record.dial_failure().unwrap_or(Reason::Other).word();
    match record.remote() {
        Some(remote) => format!("no server could be connected, {remote} last ({reason})"),
        None => format!("no server could be connected ({reason})"),
    }
}
