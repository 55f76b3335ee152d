//! Which certificate a client gets.

use proxymachine_engine::tls::rustls::{AlertDescription, Error, NamedGroup, version};
use proxymachine_engine::tls::{CertificateOptions, Certificates, MinVersion, alert_instead};

use crate::support::{Authority, ECDSA, ED25519, Issued, Peer, RSA, certificates};

fn all(issued: &[&Issued]) -> Certificates {
    certificates(issued, &CertificateOptions::default())
}

/// A client that can only verify RSA, in both versions: TLS 1.2 says so by its cipher suites, too.
fn rsa_only(name: &'static str) -> [Peer; 2] {
    [&version::TLS12, &version::TLS13].map(|version| Peer { version, has_ecdsa: false, ..Peer::new(name) })
}

#[test]
fn exact_name_comes_before_a_wildcard() {
    let authority = Authority::new("A");
    let wildcard = authority.issue(&["*.example"], ECDSA);
    let exact = authority.issue(&["A.example"], ECDSA);
    let all = all(&[&wildcard, &exact]);
    assert!(Peer::new("a.example").is_shown(&exact, &all));
    assert!(Peer::new("b.example").is_shown(&wildcard, &all));
}

#[test]
fn wildcard_stands_for_one_label() {
    let authority = Authority::new("A");
    let first = authority.issue(&["first.test"], ECDSA);
    let wildcard = authority.issue(&["*.example", "*.two.example"], ECDSA);
    let all = all(&[&first, &wildcard]);
    for (name, shown) in [
        ("a.two.example", &wildcard),
        ("a.b.two.example", &first),
        ("example", &first),
        ("a.b.example", &first),
    ] {
        assert!(Peer::new(name).is_shown(shown, &all), "{name}");
    }
}

#[test]
fn first_certificate_answers_without_a_name_and_to_an_unknown_name() {
    let authority = Authority::new("A");
    let (first, second) = (authority.issue(&["a.example"], RSA), authority.issue(&["b.example"], ECDSA));
    let all = all(&[&first, &second]);
    assert!(Peer::new("127.0.0.1").is_shown(&first, &all));
    assert!(Peer::new("c.example").is_shown(&first, &all));
    assert!(Peer::new("b.example").is_shown(&second, &all));
}

#[test]
fn strict_refuses_an_unknown_name_but_serves_a_client_without_one() {
    let first = Authority::new("A").issue(&["a.example"], ECDSA);
    let strict = certificates(&[&first], &CertificateOptions { is_strict: true, ..Default::default() });
    assert!(Peer::new("127.0.0.1").is_shown(&first, &strict));
    assert!(Peer::new("a.example").is_shown(&first, &strict));
    let failure = Peer::new("b.example").connect(&strict).unwrap_err();
    assert_eq!(alert_instead(&failure.server.unwrap()), Some(AlertDescription::UnrecognisedName));
}

#[test]
fn ecdsa_comes_before_rsa_where_the_client_can() {
    let authority = Authority::new("A");
    let rsa = authority.issue(&["a.example"], RSA);
    let ecdsa = authority.issue(&["a.example"], ECDSA);
    let all = all(&[&rsa, &ecdsa]);
    for version in [&version::TLS12, &version::TLS13] {
        assert!(Peer { version, ..Peer::new("a.example") }.is_shown(&ecdsa, &all));
    }
    for peer in rsa_only("a.example") {
        assert!(peer.is_shown(&rsa, &all));
    }
}

#[test]
fn client_that_can_only_do_rsa_gets_rsa_or_a_handshake_failure() {
    let authority = Authority::new("A");
    let ecdsa = authority.issue(&["a.example"], ECDSA);
    let ed25519 = authority.issue(&["b.example"], ED25519);
    let other = authority.issue(&["c.example"], RSA);
    let wildcard = authority.issue(&["*.test"], RSA);
    let exact = authority.issue(&["a.test"], ECDSA);
    let all = all(&[&ecdsa, &ed25519, &other, &wildcard, &exact]);
    for name in ["a.example", "b.example"] {
        for peer in rsa_only(name) {
            let failure = peer.connect(&all).unwrap_err();
            let alert = Some(Error::AlertReceived(AlertDescription::HandshakeFailure));
            assert_eq!(failure.client, alert, "{name} {:?}", failure.server);
        }
    }
    for (name, shown) in [("127.0.0.1", &other), ("unknown.example", &other), ("a.test", &wildcard)] {
        for peer in rsa_only(name) {
            assert!(peer.is_shown(shown, &all), "{name}");
        }
    }
}

#[test]
fn ed25519_works() {
    let ed25519 = Authority::new("A").issue(&["a.example"], ED25519);
    assert!(Peer::new("a.example").is_shown(&ed25519, &all(&[&ed25519])));
}

#[test]
fn alpn_takes_the_first_of_ours_that_the_client_offers() {
    let issued = Authority::new("A").issue(&["a.example"], ECDSA);
    let options =
        CertificateOptions { alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()], ..Default::default() };
    let both = certificates(&[&issued], &options);
    let offering = |protocols: &[&str]| Peer {
        alpn: protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect(),
        ..Peer::new("a.example")
    };
    let chosen = |peer: Peer, certificates: &Certificates| {
        peer.connect(certificates).unwrap().server.alpn_protocol().map(<[u8]>::to_vec)
    };
    assert_eq!(chosen(offering(&["http/1.1", "h2"]), &both), Some(b"h2".to_vec()));
    assert_eq!(chosen(offering(&["http/1.1"]), &both), Some(b"http/1.1".to_vec()));
    assert_eq!(chosen(offering(&[]), &both), None);
    assert_eq!(chosen(offering(&["smtp"]), &all(&[&issued])), None);
    let failure = offering(&["smtp"]).connect(&both).unwrap_err();
    assert_eq!(failure.client, Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)));
}

#[test]
fn min_version_refuses_an_older_client() {
    let issued = Authority::new("A").issue(&["a.example"], ECDSA);
    let options = CertificateOptions { min_version: MinVersion::Tls13, ..Default::default() };
    let newest = certificates(&[&issued], &options);
    let older = Peer { version: &version::TLS12, ..Peer::new("a.example") };
    assert!(older.connect(&all(&[&issued])).is_ok());
    assert!(Peer::new("a.example").connect(&newest).is_ok());
    let failure = older.connect(&newest).unwrap_err();
    assert_eq!(failure.client, Some(Error::AlertReceived(AlertDescription::ProtocolVersion)));
}

#[test]
fn key_exchange_is_post_quantum_with_a_client_that_offers_it() {
    let issued = Authority::new("A").issue(&["a.example"], ECDSA);
    let pair = Peer::new("a.example").connect(&all(&[&issued])).unwrap();
    assert_eq!(pair.server.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);
}
