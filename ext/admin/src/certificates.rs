//! The table of certificates, in each of its renderings.

use serde::{Deserialize, Serialize};

use crate::html::{Column, Html, NAME, NUMBER, WORD, table, text, text_element};

/// Days before its end from which on a certificate is marked. The log warns of it from then on, too.
const EXPIRING_DAYS: i64 = 14;

/// A certificate that clients see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CertificateStats {
    /// First of its names.
    pub name: String,
    /// File that it was read from, or ":pem" for a text.
    pub file: String,
    /// Last second in which it is valid, since 1970.
    pub not_after: i64,
    /// Whole days that it is still valid; negative when it has expired.
    pub days_left: i64,
}

impl CertificateStats {
    fn is_expiring(&self) -> bool {
        self.days_left < EXPIRING_DAYS
    }

    /// Returns how long it is valid, in words.
    fn validity(&self) -> String {
        match self.days_left {
            ..0 => "expired".into(),
            0 => "today".into(),
            1 => "1 day".into(),
            days => format!("{days} days"),
        }
    }

    /// Returns its last day, as YYYY-MM-DD.
    fn last_day(&self) -> String {
        let (year, month, day) = date(self.not_after.div_euclid(24 * 60 * 60));
        format!("{year:04}-{month:02}-{day:02}")
    }
}

/// Adds the certificates of another process. Workers load the same files, each at its own time: the newer one counts.
pub(crate) fn merge(own: &mut Vec<CertificateStats>, others: &[CertificateStats]) {
    for other in others {
        match own.iter_mut().find(|known| (&known.name, &known.file) == (&other.name, &other.file)) {
            Some(known) if known.not_after < other.not_after => *known = other.clone(),
            Some(_) => {}
            None => own.push(other.clone()),
        }
    }
}

/// Returns for each name the certificate that ends first: one name may have an ECDSA and an RSA certificate.
pub(crate) fn by_name(all: &[CertificateStats]) -> Vec<&CertificateStats> {
    let mut named: Vec<&CertificateStats> = Vec::with_capacity(all.len());
    for certificate in all {
        match named.iter_mut().find(|known| known.name == certificate.name) {
            Some(known) if certificate.not_after < known.not_after => *known = certificate,
            Some(_) => {}
            None => named.push(certificate),
        }
    }
    named
}

/// Returns the table of the page, the certificate that ends first at the top.
pub(crate) fn html(all: &[CertificateStats]) -> Html {
    const COLUMNS: [Column<'_>; 4] =
        [("Certificate", NAME), ("File", NAME), ("Valid until", WORD), ("Left", NUMBER)];
    let rows = sorted(all).into_iter().map(|certificate| {
        let class = if certificate.is_expiring() { "failed" } else { "none" };
        vec![
            text(&certificate.name),
            text(&certificate.file),
            text(certificate.last_day()),
            text_element("span", class, certificate.validity()),
        ]
    });
    table(&COLUMNS, rows)
}

/// Returns the rows of the text page: name, time left, last day, file.
pub(crate) fn rows(all: &[CertificateStats]) -> impl Iterator<Item = [String; 4]> {
    sorted(all).into_iter().map(|certificate| {
        let left = certificate.validity();
        let mark = if certificate.is_expiring() { "!" } else { "" };
        [certificate.name.clone(), format!("{left}{mark}"), certificate.last_day(), certificate.file.clone()]
    })
}

fn sorted(all: &[CertificateStats]) -> Vec<&CertificateStats> {
    let mut sorted: Vec<_> = all.iter().collect();
    sorted.sort_by(|one, other| (one.not_after, &one.name).cmp(&(other.not_after, &other.name)));
    sorted
}

/// Returns year, month and day of a number of days since 1970: `civil_from_days` of Howard Hinnant's
/// "chrono-Compatible Low-Level Date Algorithms".
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(name: &str, file: &str, not_after: i64) -> CertificateStats {
        CertificateStats {
            name: name.into(),
            file: file.into(),
            not_after,
            days_left: not_after.div_euclid(86_400),
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let days =
            [(0, (1970, 1, 1)), (11_016, (2000, 2, 29)), (20_788, (2026, 12, 1)), (-1, (1969, 12, 31))];
        for (day, expected) in days {
            assert_eq!(date(day), expected);
        }
    }

    #[test]
    fn newer_certificate_of_two_workers_counts() {
        let mut own = vec![certificate("a", "a.pem", 1), certificate("b", "b.pem", 5)];
        merge(
            &mut own,
            &[certificate("a", "a.pem", 3), certificate("b", "b.pem", 4), certificate("c", "", 6)],
        );
        let ends: Vec<_> = own.iter().map(|certificate| certificate.not_after).collect();
        assert_eq!(ends, [3, 5, 6]);
    }

    #[test]
    fn name_with_two_certificates_has_one_end() {
        let all = [certificate("a", "ecdsa.pem", 9), certificate("a", "rsa.pem", 7), certificate("b", "", 8)];
        let ends: Vec<_> = by_name(&all).iter().map(|certificate| certificate.not_after).collect();
        assert_eq!(ends, [7, 8]);
    }

    #[test]
    fn certificate_that_ends_first_is_at_the_top_and_marked() {
        let all = [
            certificate("later.example", "b.pem", 90 * 86_400),
            certificate("soon.example", "a.pem", 86_400),
            certificate("old.example", ":pem", -1),
        ];
        let rows: Vec<_> = rows(&all).map(|row| row.join(" ")).collect();
        assert_eq!(
            rows,
            [
                "old.example expired! 1969-12-31 :pem",
                "soon.example 1 day! 1970-01-02 a.pem",
                "later.example 90 days 1970-04-01 b.pem"
            ]
        );
        let page = html(&all[1..]);
        assert!(page.as_str().contains("<span class=\"failed\">1 day</span>"), "{}", page.as_str());
    }
}
