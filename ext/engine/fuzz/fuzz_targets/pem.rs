//! Reads a text with certificates, keys and revocation lists, and what they say. Input: the text.
//!
//! No text may panic, and no message may have a line of it: the text may be a key.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use proxymachine_engine::tls::{
    Authorities, AuthorityOptions, CertificateInfo, CertificateOptions, Certificates, Pem,
};

static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("proxymachine-fuzz-pem-{}", std::process::id())));

fuzz_target!(|text: &[u8]| {
    let Ok(pem) = Pem::parse(text, "file") else { return };
    for certificate in &pem.certificates {
        if let Ok(info) = CertificateInfo::parse(certificate, "file") {
            assert!(info.dns_names.iter().all(|name| !name.bytes().any(|byte| byte.is_ascii_uppercase())));
            assert_eq!(info.is_expiring(i64::MIN), info.not_after < i64::MIN + 14 * 86_400);
            let _ = info.days_left(0);
        }
    }
    match Certificates::parse(text, &CertificateOptions::default()) {
        Ok(certificates) => assert!(!pem.keys.is_empty() && certificates.infos().len() == 1),
        Err(error) => {
            let message = error.to_string();
            // libFuzzer tries the words of our own messages, too. A line of a key has no blanks.
            let is_like_key = |line: &&[u8]| line.len() > 40 && !line.contains(&b' ');
            let lines = text.split(|byte| matches!(byte, b'\n' | b'\r')).filter(is_like_key);
            let mut lines = lines.filter_map(|line| std::str::from_utf8(line).ok());
            assert!(!lines.any(|line| message.contains(line)), "{message}");
        }
    }
    if !pem.certificates.is_empty() || !pem.revocation_lists.is_empty() {
        fs::write(&*FILE, text).unwrap();
        let lists = AuthorityOptions { revocation_lists: vec![FILE.clone()], ..AuthorityOptions::default() };
        let _ = Authorities::read(std::slice::from_ref(&*FILE), &lists);
    }
});
