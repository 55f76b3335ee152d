//! `host:port`, `unix:/path` and `unix:@name`, as configs write them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxymachine_engine::Remote;

fuzz_target!(|text: &str| {
    let Ok(remote) = text.parse::<Remote>() else { return };

    // A log line shows the remote unescaped.
    let displayed = remote.to_string();
    assert!(
        !displayed.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')),
        "{displayed:?}"
    );
    assert!(text.contains(&displayed));
    assert_eq!(displayed.parse().as_ref(), Ok(&remote));

    if let Some(path) = remote.unix() {
        assert_eq!(displayed, format!("unix:{path}"));
        return assert!((2..=107).contains(&path.len()) && path.starts_with(['/', '@']), "{path:?}");
    }
    let (host, port) = (remote.host(), remote.port());
    assert!(port > 0);
    assert!(!host.is_empty());
    assert!(!host.contains(char::is_whitespace), "{host:?}");
    if let Some(address) = remote.literal() {
        assert_eq!((address.ip(), address.port()), (host.parse().unwrap(), port));
    }
    let rewritten: Remote = format!("[{host}]:{port}").parse().unwrap();
    assert_eq!((rewritten.host(), rewritten.port()), (host, port));
});
