//! Routes of the admin address: which path has which response, and which requests are refused.

use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue};
use hyper::header::{REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, StatusCode};

use crate::process::ProcessStats;
use crate::shared::AdminShared;
use crate::{State, metrics, page, text_page};

type Response = hyper::Response<Full<Bytes>>;

/// Content security policy: the page may load nothing from elsewhere and may not be framed.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const TEXT: &str = "text/plain; charset=utf-8";

/// Returns the response to one request, whose body is ignored.
pub fn respond<B>(request: &Request<B>, is_loopback: bool, shared: &AdminShared) -> Response {
    // DNS rebinding: a foreign page can point its own name at this address, but it cannot send another Host
    // header.
    if is_loopback && !request.headers().get(HOST).is_none_or(is_local_host) {
        return text(StatusCode::MISDIRECTED_REQUEST, "Use the address itself or localhost as the host.\n");
    }
    let query = request.uri().query();
    let handle: fn(Option<&str>, &AdminShared) -> Response = match request.uri().path() {
        "/" => |_, shared| page(shared),
        "/metrics" => metrics,
        "/status.json" => |_, shared| response(StatusCode::OK, "application/json", shared.status().json()),
        "/status.txt" => {
            |query, shared| text(StatusCode::OK, text_page::render(&shared.status(), width(query)))
        }
        "/healthz" => |_, _| text(StatusCode::OK, "ok\n"),
        "/readyz" => |_, shared| readiness(shared.source.state()),
        _ => {
            return text(
                StatusCode::NOT_FOUND,
                "Paths: /, /metrics, /status.json, /status.txt, /healthz and /readyz.\n",
            );
        }
    };
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return handle(query, shared);
    }
    let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are allowed.\n");
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    refusal
}

fn page(shared: &AdminShared) -> Response {
    let nonce = page::nonce();
    let mut page =
        response(StatusCode::OK, "text/html; charset=utf-8", page::render(&shared.status(), &nonce));
    let policy = format!(
        "{POLICY}; connect-src 'self'; img-src data:; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    page
}

fn metrics(query: Option<&str>, shared: &AdminShared) -> Response {
    let with_backends = parameter(query, "remotes") == Some("1");
    let text = metrics::render(&shared.source.snapshot(), ProcessStats::read().as_ref(), with_backends);
    response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}

/// Returns the requested width of the text page; the default if the width is absent or no number.
fn width(query: Option<&str>) -> usize {
    let width = parameter(query, "width").and_then(|width| width.parse().ok());
    width.unwrap_or(text_page::DEFAULT_WIDTH).clamp(1, text_page::MAX_WIDTH)
}

fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn readiness(state: State) -> Response {
    let status = match state {
        State::Running => StatusCode::OK,
        State::Starting | State::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    text(status, format!("{}\n", state.name()))
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    response(status, TEXT, text)
}

fn response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Returns whether a `Host` header is an IP address or localhost.
fn is_local_host(host: &HeaderValue) -> bool {
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
    fn host_header_must_be_an_address_or_localhost() {
        let is_local = |host| is_local_host(&HeaderValue::from_static(host));
        for host in
            ["127.0.0.1:9432", "127.0.0.1", "[::1]:9432", "LocalHost:9432", "localhost", "10.1.2.3:80"]
        {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["evil.example", "evil.example:9432", "127.0.0.1.evil.example:9432", "localhost.evil.example"]
        {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn width_has_a_default_and_bounds() {
        assert_eq!([None, Some("x=1"), Some("width=wide")].map(width), [200; 3]);
        assert_eq!([Some("width=80"), Some("x=1&width=0"), Some("width=5000")].map(width), [80, 1, 1000]);
    }
}
