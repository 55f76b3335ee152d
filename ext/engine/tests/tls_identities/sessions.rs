//! Sessions that resume by ticket.

use std::sync::Arc;

use proxymachine_engine::tls::rustls::{ClientConfig, HandshakeKind, version};
use proxymachine_engine::tls::{AuthorityOptions, CertificateOptions, Certificates};

use crate::support::{Authority, Directory, ECDSA, Issued, Peer, certificates, connect};

/// Makes a handshake, and returns whether the session resumed.
fn is_resumed(config: &Arc<ClientConfig>, certificates: &Certificates) -> bool {
    let pair = connect(config, "a.example", certificates).unwrap();
    pair.server.handshake_kind() == Some(HandshakeKind::Resumed)
}

fn clients() -> [Arc<ClientConfig>; 2] {
    [&version::TLS12, &version::TLS13]
        .map(|version| Arc::new(Peer { version, ..Peer::new("a.example") }.config()))
}

fn plain(issued: &[&Issued]) -> Certificates {
    certificates(issued, &CertificateOptions::default())
}

#[test]
fn session_resumes_with_certificates_that_were_read_again() {
    let authority = Authority::new("A");
    let [old, renewed] = [(); 2].map(|()| authority.issue(&["a.example", "b.example"], ECDSA));
    for client in clients() {
        assert!(!is_resumed(&client, &plain(&[&old])));
        assert!(is_resumed(&client, &plain(&[&old])));
        assert!(is_resumed(&client, &plain(&[&renewed])));
    }
}

#[test]
fn session_does_not_resume_with_certificates_for_other_names() {
    let authority = Authority::new("A");
    let (one, other) = (authority.issue(&["a.example"], ECDSA), authority.issue(&["b.example"], ECDSA));
    for client in clients() {
        assert!(!is_resumed(&client, &plain(&[&one])));
        assert!(!is_resumed(&client, &plain(&[&other])));
    }
}

/// A ticket holds the client's certificate, or that there was none, and rustls verifies it no more.
#[test]
fn session_does_not_resume_where_other_clients_are_trusted() {
    let authority = Authority::new("A");
    let issued = authority.issue(&["a.example"], ECDSA);
    let shown = authority.issue(&["client"], ECDSA);
    let directory = Directory::new();
    let list = directory.file("list.pem", authority.revoke(&[]));
    let revoking = AuthorityOptions { revocation_lists: vec![list], ..Default::default() };
    let asking = |client, is_client_optional| {
        let options = CertificateOptions { client, is_client_optional, ..Default::default() };
        certificates(&[&issued], &options)
    };
    let all = [
        asking(None, false),
        asking(Some(authority.trusted()), false),
        asking(Some(authority.trusted()), true),
        asking(Some(authority.trusted_with(&revoking)), false),
    ];
    for version in [&version::TLS12, &version::TLS13] {
        for (index, first) in all.iter().enumerate() {
            for (other, second) in all.iter().enumerate() {
                let certificate = Some(shown.pem());
                let client = Arc::new(Peer { version, certificate, ..Peer::new("a.example") }.config());
                assert!(!is_resumed(&client, first));
                assert_eq!(is_resumed(&client, second), index == other, "{index} {other}");
            }
        }
    }
}

#[test]
fn resumed_session_keeps_the_certificate_of_the_client() {
    let authority = Authority::new("A");
    let options = CertificateOptions { client: Some(authority.trusted()), ..Default::default() };
    let asking = certificates(&[&authority.issue(&["a.example"], ECDSA)], &options);
    let certificate = Some(authority.issue(&["client"], ECDSA).pem());
    let client = Arc::new(Peer { certificate, ..Peer::new("a.example") }.config());
    assert!(!is_resumed(&client, &asking));
    let pair = connect(&client, "a.example", &asking).unwrap();
    assert_eq!(pair.server.handshake_kind(), Some(HandshakeKind::Resumed));
    assert_eq!(pair.server.peer_certificates().unwrap().len(), 1);
}
