use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn bind(address: &str) -> Result<Vec<Listener>, Error> {
    Listener::bind(address, &Options::default())
}

#[test]
fn port_0_takes_one_free_port() {
    let listeners = bind("localhost:0").unwrap();
    assert_eq!(listeners.len(), 1);
    assert_ne!(listeners[0].port(), Some(0));
}

#[cfg(target_os = "linux")] // Other systems inherit no options.
#[test]
fn clients_that_connect_before_the_start_get_keepalive_and_nodelay() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let options = Options { keepalive: seconds(7), user_timeout: seconds(9), ..Options::default() };
    let listener = Listener::bind("127.0.0.1:0", &options).unwrap().remove(0);
    let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.socket.accept().unwrap();
    assert_eq!(accepted.tcp_keepalive_time().unwrap(), Duration::from_secs(7));
    assert!(accepted.keepalive().unwrap() && accepted.tcp_nodelay().unwrap());
    assert_eq!(accepted.tcp_user_timeout().unwrap(), seconds(9));
}

#[test]
fn brackets_around_an_address_are_removed() {
    match bind("[::1]:0") {
        Ok(listeners) => assert!(listeners[0].local_addr().unwrap().is_ipv6()),
        // A machine without IPv6 still parses the address.
        Err(error) => assert!(matches!(error, Error::Bind { .. }), "{error}"),
    }
}

#[test]
fn connections_are_queued_before_the_engine_accepts() {
    let listeners = bind("127.0.0.1:0").unwrap();
    let address = listeners[0].local_addr().unwrap();
    let clients: Vec<_> = (0..200).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    assert_eq!(clients.len(), 200);
}

#[test]
fn the_error_names_a_taken_port() {
    let taken = bind("127.0.0.1:0").unwrap();
    let port = taken[0].port().unwrap();
    let error = bind(&format!("127.0.0.1:{port}")).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{port}: Address already in use"));
}

#[test]
fn the_error_names_a_host_that_does_not_resolve() {
    let error = bind("no-such-host.invalid:80").unwrap_err();
    assert!(error.to_string().starts_with("cannot resolve no-such-host.invalid: "), "{error}");
}

#[test]
fn the_error_names_an_invalid_address() {
    for address in ["", "80", "host", "host:", ":80", "host:http", "host:65536", "unix:relative"] {
        let error = bind(address).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot listen on {address:?}: ")), "{error}");
    }
}

/// Returns a path that no other test uses.
fn temporary(name: &str) -> String {
    let path = std::env::temp_dir().join(format!("proxymachine-{name}-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    path.to_str().unwrap().into()
}

#[test]
fn a_unix_socket_gets_its_mode_and_leaves_no_file() {
    let path = temporary("mode");
    let options = Options { mode: Some(0o640), ..Options::default() };
    let listeners = Listener::bind(&format!("unix:{path}"), &options).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    drop(listeners);
    assert!(!fs::exists(&path).unwrap());
}

#[test]
fn a_stale_socket_file_is_replaced_and_a_live_one_is_not() {
    let path = temporary("stale");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap()); // Leaves its file behind.
    let address = format!("unix:{path}");
    let first = bind(&address).unwrap();
    let error = bind(&address).unwrap_err().to_string();
    assert_eq!(error, format!("cannot listen on {address}: another process listens there"));
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    drop(first);
}

#[test]
fn a_file_that_is_not_a_socket_stays() {
    let path = temporary("file");
    fs::write(&path, "precious").unwrap();
    assert!(bind(&format!("unix:{path}")).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();
}

#[test]
fn an_abstract_name_has_no_file() {
    let address = format!("unix:@proxymachine-{}", std::process::id());
    let listeners = bind(&address).unwrap();
    assert!(bind(&address).is_err());
    drop(listeners);
    assert!(bind(&address).is_ok());
}
