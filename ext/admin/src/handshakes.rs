//! The table of TLS handshakes, in each of its renderings.

use crate::format::number;
use crate::html::{Column, Html, NAME, NUMBER, table, text, text_element};
use crate::snapshot::{HandshakeCount, TlsStats};

/// The handshakes with one side.
struct Row {
    side: &'static str,
    done: u64,
    resumed: u64,
    tls13: u64,
    tls12: u64,
    failed: u64,
}

/// Returns a row for each side with which there were handshakes.
fn all(tls: &TlsStats) -> impl Iterator<Item = Row> + '_ {
    [("client", "clients"), ("server", "backends")].into_iter().filter_map(|(side, shown)| {
        let sum = |is_counted: fn(&HandshakeCount) -> bool| {
            let counted = tls.handshakes.iter().filter(|kind| kind.side == side && is_counted(kind));
            counted.fold(0, |sum: u64, kind| sum.saturating_add(kind.count))
        };
        let row = Row {
            side: shown,
            done: sum(|kind| kind.is_ok),
            resumed: sum(|kind| kind.is_ok && kind.is_resumed),
            tls13: sum(|kind| kind.version == "TLSv1.3"),
            tls12: sum(|kind| kind.version == "TLSv1.2"),
            failed: sum(|kind| !kind.is_ok),
        };
        (row.done + row.failed > 0).then_some(row)
    })
}

/// Returns the table of the page; None if there was no handshake.
pub(crate) fn html(tls: &TlsStats) -> Option<Html> {
    const COLUMNS: [Column<'_>; 6] = [
        ("With", NAME),
        ("Done", NUMBER),
        ("Resumed", NUMBER),
        ("TLS 1.3", NUMBER),
        ("TLS 1.2", NUMBER),
        ("Failed", NUMBER),
    ];
    let rows: Vec<_> = all(tls)
        .map(|row| {
            let class = if row.failed > 0 { "failed" } else { "none" };
            let counts = [row.done, row.resumed, row.tls13, row.tls12].map(|count| text(number(count)));
            let failed = text_element("span", class, number(row.failed));
            [text(row.side)].into_iter().chain(counts).chain([failed]).collect()
        })
        .collect();
    (!rows.is_empty()).then(|| table(&COLUMNS, rows))
}

/// Returns the rows of the text page: side, done, resumed, TLS 1.3, TLS 1.2, failed.
pub(crate) fn rows(tls: &TlsStats) -> impl Iterator<Item = [String; 6]> + '_ {
    all(tls).map(|row| {
        let [done, resumed, tls13, tls12, failed] =
            [row.done, row.resumed, row.tls13, row.tls12, row.failed].map(number);
        [row.side.into(), done, resumed, tls13, tls12, failed]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(side: &str, version: &str, is_resumed: bool, count: u64) -> HandshakeCount {
        let is_ok = !version.is_empty();
        HandshakeCount { side: side.into(), version: version.into(), is_resumed, is_ok, count }
    }

    #[test]
    fn each_side_with_handshakes_has_a_row() {
        let mut tls = TlsStats {
            handshakes: vec![
                counted("client", "TLSv1.3", false, 5),
                counted("client", "TLSv1.3", true, 3),
                counted("client", "TLSv1.2", true, 2),
                counted("client", "", false, 1),
            ],
            ..TlsStats::default()
        };
        assert_eq!(rows(&tls).collect::<Vec<_>>(), [["clients", "10", "5", "8", "2", "1"]]);
        tls.handshakes.push(counted("server", "", false, 4));
        assert_eq!(rows(&tls).last().unwrap(), ["backends", "0", "0", "0", "0", "4"]);
        let page = html(&tls).unwrap();
        assert!(page.as_str().contains("<span class=\"failed\">4</span>"), "{}", page.as_str());
    }

    #[test]
    fn without_handshakes_there_is_no_table() {
        assert!(html(&TlsStats::default()).is_none());
        assert_eq!(rows(&TlsStats::default()).count(), 0);
    }
}
