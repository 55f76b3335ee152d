//! Certificates of clients, and of servers that we check.

use std::sync::Arc;

use proxymachine_engine::tls::rustls::client::Resumption;
use proxymachine_engine::tls::rustls::{AlertDescription, CertificateError, Error, version};
use proxymachine_engine::tls::{Authorities, AuthorityOptions, CertificateOptions, Certificates};

use crate::support::{Authority, Directory, ECDSA, Issued, Pair, Peer, certificates, connect};

/// Certificates that ask clients for one that the authorities have signed.
fn asking(authority: &Authority, client: Authorities, is_client_optional: bool) -> Certificates {
    let options = CertificateOptions { client: Some(client), is_client_optional, ..Default::default() };
    certificates(&[&authority.issue(&["a.example"], ECDSA)], &options)
}

/// Returns the error of a client that shows a certificate, in both versions of TLS.
fn refused(certificates: &Certificates, issued: Option<&Issued>) -> Vec<Error> {
    let versions = [&version::TLS12, &version::TLS13];
    let refuse = |version| {
        let certificate = issued.map(Issued::pem);
        let failure =
            Peer { version, certificate, ..Peer::new("a.example") }.connect(certificates).unwrap_err();
        failure.server.unwrap()
    };
    versions.map(refuse).into()
}

fn accepted(certificates: &Certificates, issued: Option<&Issued>) -> Pair {
    let certificate = issued.map(Issued::pem);
    Peer { certificate, ..Peer::new("a.example") }.connect(certificates).unwrap()
}

#[test]
fn client_must_show_a_certificate_that_the_authorities_have_signed() {
    let (authority, other) = (Authority::new("A"), Authority::new("B"));
    let required = asking(&authority, authority.trusted(), false);
    let pair = accepted(&required, Some(&authority.issue(&["client"], ECDSA)));
    assert_eq!(pair.server.peer_certificates().unwrap().len(), 1);
    for error in refused(&required, None) {
        assert_eq!(error, Error::NoCertificatesPresented);
    }
    for error in refused(&required, Some(&other.issue(&["client"], ECDSA))) {
        assert_eq!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer));
    }
    for error in refused(&required, Some(&authority.issue_expired("client"))) {
        let is_expired = matches!(error, Error::InvalidCertificate(CertificateError::ExpiredContext { .. }));
        assert!(is_expired, "{error:?}");
    }
}

#[test]
fn optional_serves_a_client_without_a_certificate_and_refuses_a_wrong_one() {
    let (authority, other) = (Authority::new("A"), Authority::new("B"));
    let optional = asking(&authority, authority.trusted(), true);
    assert_eq!(accepted(&optional, None).server.peer_certificates(), None);
    let mine = authority.issue(&["client"], ECDSA);
    assert!(accepted(&optional, Some(&mine)).server.peer_certificates().is_some());
    refused(&optional, Some(&other.issue(&["client"], ECDSA)));
}

/// Authorities with a revocation list of another one.
fn revoking(trusted: &Authority, list: String) -> Authorities {
    let directory = Directory::new();
    let revocation_lists = vec![directory.file("list.pem", list)];
    trusted.trusted_with(&AuthorityOptions { revocation_lists, ..Default::default() })
}

#[test]
fn revoked_client_is_refused() {
    let authority = Authority::new("A");
    let [revoked, valid] = ["one", "two"].map(|name| authority.issue(&[name], ECDSA));
    let trusted = revoking(&authority, authority.revoke(&[&revoked]));
    assert_eq!(trusted.revocation_lists()[0].1, 1_706_745_600); // 2024-02-01
    let required = asking(&authority, trusted, false);
    accepted(&required, Some(&valid));
    for error in refused(&required, Some(&revoked)) {
        assert_eq!(error, Error::InvalidCertificate(CertificateError::Revoked));
    }
}

#[test]
fn certificate_whose_issuer_has_no_list_is_accepted() {
    let (authority, other) = (Authority::new("A"), Authority::new("B"));
    let trusted = revoking(&authority, other.revoke(&[]));
    accepted(&asking(&authority, trusted, false), Some(&authority.issue(&["client"], ECDSA)));
}

#[test]
fn server_must_have_a_certificate_of_the_authorities_with_the_name() {
    let (authority, other) = (Authority::new("A"), Authority::new("B"));
    let server = |issued: &Issued| certificates(&[issued], &CertificateOptions::default());
    let try_one = |trusted: &Authorities, name: &str, issued: &Issued| {
        // A session that resumes verifies nothing.
        let mut config = (*trusted.client_config()).clone();
        config.resumption = Resumption::disabled();
        connect(&Arc::new(config), name, &server(issued))
            .map(|_| ())
            .map_err(|failure| failure.client.unwrap())
    };
    let trusted = authority.trusted();
    let issued = authority.issue(&["db.internal", "10.0.0.1"], ECDSA);
    assert_eq!(try_one(&trusted, "db.internal", &issued), Ok(()));
    assert_eq!(try_one(&trusted, "10.0.0.1", &issued), Ok(()));
    assert!(matches!(
        try_one(&trusted, "other.internal", &issued),
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }))
    ));
    assert_eq!(
        try_one(&trusted, "db.internal", &other.issue(&["db.internal"], ECDSA)),
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    );
    let revoked = revoking(&authority, authority.revoke(&[&issued]));
    assert_eq!(
        try_one(&revoked, "db.internal", &issued),
        Err(Error::InvalidCertificate(CertificateError::Revoked))
    );
    let expired = authority.issue_expired("db.internal");
    assert!(try_one(&trusted, "db.internal", &expired).is_err());
    let unverified =
        Authorities::read(&[], &AuthorityOptions { verifies: false, ..Default::default() }).unwrap();
    assert_eq!(try_one(&unverified, "other.internal", &expired), Ok(()));
    assert!(!unverified.verifies());
}

#[test]
fn server_that_asks_sees_our_certificate() {
    let authority = Authority::new("A");
    let directory = Directory::new();
    let own = authority.issue(&["proxy"], ECDSA);
    let options = AuthorityOptions {
        certificate: Some(directory.file("own.pem", own.pem())),
        alpn: vec![b"postgresql".to_vec()],
        ..Default::default()
    };
    let trusted = authority.trusted_with(&options);
    let required = asking(&authority, authority.trusted(), false);
    let pair = connect(&trusted.client_config(), "a.example", &required).unwrap();
    assert_eq!(pair.server.peer_certificates().unwrap().len(), 1);
    let failure = connect(&authority.trusted().client_config(), "a.example", &required).unwrap_err();
    assert_eq!(failure.client, Some(Error::AlertReceived(AlertDescription::CertificateRequired)));
}

#[test]
fn key_exchange_with_a_server_is_post_quantum() {
    let authority = Authority::new("A");
    let server = certificates(&[&authority.issue(&["a.example"], ECDSA)], &CertificateOptions::default());
    let config = Arc::clone(&authority.trusted().client_config());
    let group =
        connect(&config, "a.example", &server).unwrap().client.negotiated_key_exchange_group().unwrap();
    assert_eq!(format!("{:?}", group.name()), "X25519MLKEM768");
}
