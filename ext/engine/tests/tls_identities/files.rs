//! Files and texts with chains, keys and authorities.

use std::sync::LazyLock;

use proptest::prelude::*;
use proxymachine_engine::tls::{
    Authorities, AuthorityOptions, CertificateCache, CertificateOptions, CertificatePath, Certificates,
};

use crate::support::{Authority, Directory, ECDSA, ED25519, Peer, RSA};

fn read(directory: &Directory, names: &[&str], is_from_glob: bool) -> Result<Certificates, String> {
    let files: Vec<_> = names
        .iter()
        .map(|name| CertificatePath { path: directory.path().join(name), is_from_glob })
        .collect();
    let read = Certificates::read(&files, &CertificateOptions::default());
    read.map_err(|error| error.to_string().replace(&format!("{}/", directory.path().display()), ""))
}

fn parse(text: &str) -> Result<Certificates, String> {
    Certificates::parse(text.as_bytes(), &CertificateOptions::default()).map_err(|error| error.to_string())
}

#[test]
fn key_may_stand_anywhere_in_the_file() {
    let authority = Authority::new("A");
    let issued = authority.issue(&["a.example"], ECDSA);
    let other = authority.issue(&["other"], RSA);
    let texts = [
        issued.pem(),
        format!("{}{}{}", issued.key, issued.certificate, authority.pem()),
        format!("{}{}{}", issued.certificate, issued.key, authority.pem()),
        format!("Bag Attributes\n  name: x\n{}\n\nkey:\n{}", issued.certificate, issued.key),
        format!("\u{feff}{}", issued.pem()).replace('\n', "\r\n"),
        format!("{}{}{}", other.key, issued.certificate, issued.key),
        format!(
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}",
            issued.pem()
        ),
    ];
    for text in texts {
        let certificates = parse(&text).unwrap();
        assert!(Peer::new("a.example").is_shown(&issued, &certificates));
    }
}

#[test]
fn key_may_stand_beside_the_file() {
    let directory = Directory::new();
    let authority = Authority::new("A");
    for (chain, key) in [("a.pem", "a.key"), ("b.crt", "b.key"), ("fullchain.pem", "privkey.pem")] {
        let issued = authority.issue(&["a.example"], ED25519);
        directory.file(chain, &issued.certificate);
        directory.file(key, &issued.key);
        assert!(
            Peer::new("a.example").is_shown(&issued, &read(&directory, &[chain], false).unwrap()),
            "{chain}"
        );
    }
}

#[test]
fn file_of_keys_is_passed_over_if_a_glob_found_it() {
    let directory = Directory::new();
    let issued = Authority::new("A").issue(&["a.example"], ECDSA);
    directory.file("a.crt", &issued.certificate);
    directory.file("a.key", &issued.key);
    directory
        .file("b.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let all = ["a.crt", "a.key", "b.key"];
    assert_eq!(read(&directory, &all, true).unwrap().infos().len(), 1);
    assert!(read(&directory, &all, false).unwrap_err().starts_with("a.key has no certificate: it takes PEM"));
    let error = read(&directory, &["a.key", "b.key"], true).unwrap_err();
    assert!(error.starts_with("none of a.key, b.key has a certificate with its key"), "{error}");
}

#[test]
fn errors_name_the_file_and_the_cure() {
    let directory = Directory::new();
    let authority = Authority::new("A");
    let issued = authority.issue(&["a.example"], ECDSA);
    let other = authority.issue(&["b.example"], ECDSA);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHjME4GCSqGSIb3DQEFDTBBMCkG\n\
                     -----END ENCRYPTED PRIVATE KEY-----\n";
    let legacy = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
                  -----END EC PRIVATE KEY-----\n";
    let cut = &issued.certificate[..issued.certificate.len() / 2];
    let damaged = issued.certificate.replacen("MII", "AAA", 1);
    let not_base64 = issued.certificate.replacen("MI", "%%", 1);
    let cases: [(&str, String, &str); 11] = [
        ("empty.pem", String::new(), "empty.pem has no certificate: it takes PEM"),
        ("der.pem", "\u{30}\u{1}binary".into(), "der.pem has no certificate: it takes PEM"),
        (
            "bare.pem",
            issued.certificate.clone(),
            "bare.pem has no private key: add the key to it, or put it beside as",
        ),
        (
            "swap.pem",
            format!("{}{}", issued.certificate, other.key),
            "the private key in swap.pem is not the key of",
        ),
        (
            "order.pem",
            format!("{}{}", authority.pem(), issued.pem()),
            "the private key in order.pem is not the key",
        ),
        ("pk8.pem", format!("{}{encrypted}", issued.certificate), "the private key in pk8.pem is encrypted"),
        ("old.pem", format!("{legacy}{}", issued.certificate), "the private key in old.pem is encrypted"),
        ("cut.pem", cut.into(), "cut.pem is no valid PEM (a section has no END line): copy it again"),
        ("char.pem", not_base64, "char.pem is no valid PEM (a section is no base64): copy it again"),
        ("asn.pem", format!("{damaged}{}", issued.key), "certificate 1 in asn.pem cannot be used ("),
        (
            "key.pem",
            format!("{}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", issued.certificate),
            "the private key in key.pem cannot be used (",
        ),
    ];
    for (name, text, expected) in cases {
        directory.file(name, text);
        let error = read(&directory, &[name], false).unwrap_err();
        assert!(error.starts_with(expected), "{name}: {error}");
    }
    let error = read(&directory, &["missing.pem"], false).unwrap_err();
    assert_eq!(
        error,
        "cannot read missing.pem: No such file or directory: check the path, and that the file is there"
    );
    assert!(read(&directory, &[""], false).unwrap_err().contains("name its files, such as DIRECTORY/*.pem"));
}

#[test]
fn key_beside_is_named_in_its_errors() {
    let directory = Directory::new();
    let authority = Authority::new("A");
    let (issued, other) = (authority.issue(&["a.example"], ECDSA), authority.issue(&["b.example"], ECDSA));
    directory.file("a.pem", &issued.certificate);
    directory.file("a.key", &other.key);
    let error = read(&directory, &["a.pem"], false).unwrap_err();
    assert!(
        error.starts_with("the private key in a.key is not the key of the first certificate in a.pem"),
        "{error}"
    );
    directory.file("a.key", "nothing");
    assert!(read(&directory, &["a.pem"], false).unwrap_err().starts_with("a.key has no private key"));
}

#[test]
fn infos_tell_names_and_validity() {
    let authority = Authority::new("The Authority");
    let infos = parse(&authority.issue(&["b.example", "A.example", "10.0.0.1"], ECDSA).pem()).unwrap();
    let info = &infos.infos()[0];
    assert_eq!((info.name.as_str(), info.source_name.as_str()), ("b.example", ":pem"));
    assert_eq!(info.dns_names, ["b.example", "a.example"]);
    assert_eq!(info.addresses, ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    let expired = parse(&authority.issue_expired("c.example").pem()).unwrap();
    let info = &expired.infos()[0];
    assert_eq!((info.not_before, info.not_after), (1_577_836_800, 1_609_459_200));
    assert!(info.is_expiring(1_609_459_200 - 86_400 * 13));
    assert!(!info.is_expiring(1_609_459_200 - 86_400 * 15));
    assert_eq!(info.days_left(1_609_459_201), -1);
    assert_eq!(authority.trusted().infos()[0].name, "The Authority");
}

#[test]
fn nothing_that_is_shown_has_a_key() {
    let issued = Authority::new("A").issue(&["a.example"], ECDSA);
    let shown = format!("{:?}", parse(&issued.pem()).unwrap());
    assert!(shown.contains("a.example"), "{shown}");
    let key: String = issued.key.lines().filter(|line| !line.starts_with('-')).collect();
    assert!(!shown.contains(&key[..20]), "{shown}");
}

#[test]
fn authorities_come_from_files() {
    let directory = Directory::new();
    let two =
        directory.file("two.pem", format!("{}{}", Authority::new("A").pem(), Authority::new("B").pem()));
    let key = directory.file("key.pem", Authority::new("A").issue(&["a"], ECDSA).key);
    let options = AuthorityOptions::default();
    assert_eq!(Authorities::read(std::slice::from_ref(&two), &options).unwrap().count(), 2);
    let error = Authorities::read(&[key], &options).unwrap_err().to_string();
    assert!(error.contains("key.pem has no certificate"), "{error}");
    let lists = AuthorityOptions { revocation_lists: vec![two.clone()], ..Default::default() };
    let error = Authorities::read(&[two], &lists).unwrap_err().to_string();
    assert!(error.contains("two.pem has no revocation list: it takes PEM"), "{error}");
}

#[test]
fn text_is_parsed_once() {
    let cache = CertificateCache::new(2);
    let authority = Authority::new("A");
    let texts = ["a", "b", "c"].map(|name| authority.issue(&[name], ECDSA).pem());
    let plain = CertificateOptions::default();
    let strict = CertificateOptions { is_strict: true, ..Default::default() };
    let is_new = |text: &str, options: &CertificateOptions| cache.get(text.as_bytes(), options).unwrap().1;
    assert!(is_new(&texts[0], &plain));
    assert!(!is_new(&texts[0], &plain));
    assert!(is_new(&texts[0], &strict), "the options count, too");
    assert!(!is_new(&texts[0], &plain));
    assert!(is_new(&texts[1], &plain), "the strict one was used least recently");
    assert!(!is_new(&texts[0], &plain));
    assert!(is_new(&texts[2], &plain));
    assert!(is_new(&texts[1], &plain));
    let mut names = Vec::new();
    cache.each(|certificates| names.push(certificates.infos()[0].name.clone()));
    names.sort();
    assert_eq!(names, ["b", "c"]);
    assert!(cache.get(b"no text", &plain).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The same as the fuzz target `pem`, for a text with one change.
    #[test]
    fn damaged_text_does_not_panic_and_no_message_has_a_line_of_it(
        at in 0_usize..2000, byte in any::<u8>(), is_removed in any::<bool>()
    ) {
        static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| {
            let authority = Authority::new("A");
            format!("{}{}", authority.issue(&["a.example", "10.0.0.1"], ECDSA).pem(), authority.revoke(&[])).into()
        });
        let mut text = TEXT.clone();
        let at = at % text.len();
        if is_removed {
            text.remove(at);
        } else {
            text[at] = byte;
        }
        if let Err(error) = Certificates::parse(&text, &CertificateOptions::default()) {
            let message = error.to_string();
            for line in text.split(|byte| *byte == b'\n').filter(|line| line.len() > 40) {
                prop_assert!(!message.contains(&*String::from_utf8_lossy(line)), "{}", message);
            }
        }
    }
}
