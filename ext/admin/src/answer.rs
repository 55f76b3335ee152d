//! What is said to a request: which path is what, and who may ask.

use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue};
use hyper::header::{REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};

use crate::process::Process;
use crate::server::Context;
use crate::{State, metrics, page};

type Answer = Response<Full<Bytes>>;

/// Where the page may get things from, beside what stands in it: nowhere.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const TEXT: &str = "text/plain; charset=utf-8";

/// The answer to one request. Its body is not looked at.
pub fn answer<B>(request: &Request<B>, is_loopback: bool, context: &Context) -> Answer {
    // A page from elsewhere can give its own name our address, but it cannot ask in ours.
    if is_loopback && !request.headers().get(HOST).is_none_or(names_this_machine) {
        return say(StatusCode::MISDIRECTED_REQUEST, "Ask for this by its address, or as localhost.\n");
    }
    let show: fn(&Request<B>, &Context) -> Answer = match request.uri().path() {
        "/" => |_, context| show_page(context),
        "/metrics" => |request, context| show_metrics(request.uri().query(), context),
        "/status.json" => |_, context| response(StatusCode::OK, "application/json", context.status().json()),
        "/healthz" => |_, _| say(StatusCode::OK, "ok\n"),
        "/readyz" => |_, context| readiness(context.source.state()),
        _ => {
            return say(
                StatusCode::NOT_FOUND,
                "There are /, /metrics, /status.json, /healthz and /readyz.\n",
            );
        }
    };
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return show(request, context);
    }
    let mut refusal = say(StatusCode::METHOD_NOT_ALLOWED, "There is nothing to do here but to look.\n");
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    refusal
}

fn show_page(context: &Context) -> Answer {
    let nonce = page::nonce();
    let mut answer =
        response(StatusCode::OK, "text/html; charset=utf-8", page::render(&context.status(), &nonce));
    let policy = format!(
        "{POLICY}; connect-src 'self'; img-src data:; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

fn show_metrics(query: Option<&str>, context: &Context) -> Answer {
    let with_remotes = query.is_some_and(|query| query.split('&').any(|word| word == "remotes=1"));
    let text = metrics::render(&context.source.snapshot(), Process::read().as_ref(), with_remotes);
    response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}

fn readiness(state: State) -> Answer {
    let status = match state {
        State::Running => StatusCode::OK,
        State::Starting | State::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    say(status, format!("{}\n", state.name()))
}

fn say(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    response(status, TEXT, text)
}

fn response(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Whether a `Host` header is an address or localhost.
fn names_this_machine(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.is_empty() || name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_name_this_machine() {
        let names = |host| names_this_machine(&HeaderValue::from_static(host));
        for host in
            ["127.0.0.1:9432", "127.0.0.1", "[::1]:9432", "LocalHost:9432", "localhost", "10.1.2.3:80"]
        {
            assert!(names(host), "{host}");
        }
        for host in
            ["evil.example", "evil.example:9432", "127.0.0.1.evil.example:9432", "localhost.evil.example"]
        {
            assert!(!names(host), "{host}");
        }
    }
}
