//! The fields of a certificate that people and the selection by name need.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{Ia5String, PrintableStringRef, Utf8StringRef};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

/// The seconds before its end in which a certificate counts as expiring: 14 days.
pub const EXPIRING_SECONDS: i64 = 14 * DAY;

const DAY: i64 = 24 * 60 * 60;

/// The object identifier of a subject's common name (RFC 5280, appendix A.1, `id-at-commonName`).
const COMMON_NAME: &str = "2.5.4.3";

/// Who a certificate is for, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The file, or ":pem" for a text.
    pub source_name: String,
    /// The first of the subject alternative names; without one, the subject's common name, or the whole subject.
    pub name: String,
    /// The DNS names among the subject alternative names, in lower case.
    pub dns_names: Vec<String>,
    /// The IP addresses among the subject alternative names.
    pub addresses: Vec<IpAddr>,
    /// The first second in which it is valid, since 1970.
    pub not_before: i64,
    /// The last second in which it is valid, since 1970.
    pub not_after: i64,
}

impl CertificateInfo {
    /// Reads a certificate.
    ///
    /// # Errors
    /// Returns the parser's reason if it is malformed.
    pub fn parse(der: &CertificateDer<'_>, source_name: &str) -> Result<Self, String> {
        let certificate = Certificate::from_der(der).map_err(|error| error.to_string())?.tbs_certificate;
        let (mut dns_names, mut addresses) = (Vec::new(), Vec::new());
        if let Some((_, names)) = certificate.get::<SubjectAltName>().map_err(|error| error.to_string())? {
            for name in names.0 {
                match name {
                    GeneralName::DnsName(name) => dns_names.push(lower_case(&name)),
                    GeneralName::IpAddress(octets) => addresses.extend(address(octets.as_bytes())),
                    _ => {}
                }
            }
        }
        let first = dns_names.first().cloned().or_else(|| addresses.first().map(IpAddr::to_string));
        let name = first.or_else(|| common_name(&certificate.subject));
        Ok(Self {
            source_name: source_name.to_owned(),
            name: name.unwrap_or_else(|| certificate.subject.to_string()),
            dns_names,
            addresses,
            not_before: seconds(certificate.validity.not_before),
            not_after: seconds(certificate.validity.not_after),
        })
    }

    /// Returns the whole days that the certificate is still valid, at a time in seconds since 1970. Negative when it has
    /// expired.
    ///
    /// ```
    /// # use proxymachine_engine::tls::CertificateInfo;
    /// # let info = CertificateInfo { source_name: "a.pem".into(), name: "a".into(), dns_names: vec![],
    /// #     addresses: vec![], not_before: 0, not_after: 86_400 * 3 };
    /// assert_eq!(info.days_left(86_400), 2);
    /// ```
    #[must_use]
    pub fn days_left(&self, now: i64) -> i64 {
        self.not_after.saturating_sub(now).div_euclid(DAY)
    }

    /// Returns whether the certificate is not valid any more, or will not be within 14 days.
    #[must_use]
    pub fn is_expiring(&self, now: i64) -> bool {
        self.not_after.saturating_sub(now) < EXPIRING_SECONDS
    }
}

/// Returns when the authority was to publish a newer revocation list, in seconds since 1970; None if the list does not
/// say.
///
/// # Errors
/// Returns the parser's reason if the list is malformed.
pub fn next_update(der: &CertificateRevocationListDer<'_>) -> Result<Option<i64>, String> {
    let list = CertificateList::from_der(der).map_err(|error| error.to_string())?;
    Ok(list.tbs_cert_list.next_update.map(seconds))
}

fn seconds(time: Time) -> i64 {
    i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
}

/// Returns the time in seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

fn lower_case(name: &Ia5String) -> String {
    name.as_str().to_ascii_lowercase()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

/// Returns the last common name of a subject: the most specific one.
fn common_name(subject: &x509_cert::name::Name) -> Option<String> {
    let mut attributes = subject.0.iter().flat_map(|set| set.0.iter());
    attributes.rfind(|attribute| attribute.oid.to_string() == COMMON_NAME).and_then(|attribute| {
        let value = &attribute.value;
        let utf8 = value.decode_as::<Utf8StringRef<'_>>().map(|text| text.as_str().to_owned());
        utf8.or_else(|_| value.decode_as::<PrintableStringRef<'_>>().map(|text| text.as_str().to_owned()))
            .ok()
    })
}
