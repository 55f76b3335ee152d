//! Charts as SVG, which need no script.

use std::fmt::Write;

use crate::format;
use crate::html::{Html, element, text};
use crate::snapshot::Histogram;

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 48.0;

/// Returns a curve of one value per second, the newest at the right edge.
pub fn curve(label: &str, values: &[f64], seconds: usize) -> Html {
    let most = values.iter().copied().fold(0.0, f64::max);
    let scale = if most > 0.0 { (HEIGHT - 4.0) / most } else { 0.0 };
    let step = WIDTH / (seconds.max(2) - 1) as f64;
    let first = WIDTH - step * values.len().saturating_sub(1) as f64;
    let mut line = String::new();
    for (index, value) in values.iter().enumerate() {
        // Writing to memory does not fail.
        let _ = write!(line, "{:.1},{:.1} ", first + step * index as f64, HEIGHT - 1.0 - value * scale);
    }
    let area = format!("{first:.1},{HEIGHT} {line}{WIDTH},{HEIGHT}");
    let shapes = [
        element("polygon", &[("class", "area"), ("points", &area)], []),
        element("polyline", &[("class", "line"), ("points", line.trim_end())], []),
    ];
    svg("curve", label, if values.len() < 2 { None } else { Some(shapes) }.into_iter().flatten())
}

/// Returns a bar for each bucket of a histogram, all of one width, the highest at full height.
pub fn bars(label: &str, histogram: &Histogram) -> Html {
    let most = histogram.counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let width = WIDTH / histogram.counts.len().max(1) as f64;
    let bars = histogram.counts.iter().enumerate().map(|(index, &count)| {
        // A small count must stay visible beside a large one.
        let height = if count == 0 { 1.0 } else { (count as f64 / most * HEIGHT).max(3.0) };
        // The counters of another process may have more counts than bounds.
        let bound = |index: usize| histogram.bounds.get(index);
        let range = match (index.checked_sub(1).and_then(bound).copied(), bound(index)) {
            (None, Some(upper)) => format!("up to {}", format::seconds(*upper)),
            (Some(lower), Some(upper)) => {
                format!("{} to {}", format::seconds(lower), format::seconds(*upper))
            }
            (Some(lower), None) => format!("above {}", format::seconds(lower)),
            (None, None) => "any".into(),
        };
        let title = element("title", &[], [text(format!("{range}: {}", format::number(count)))]);
        let attributes = [
            ("class", if count == 0 { "none" } else { "bar" }),
            ("x", &format!("{:.1}", index as f64 * width + 0.8)),
            ("y", &format!("{:.1}", HEIGHT - height)),
            ("width", &format!("{:.1}", width - 1.6)),
            ("height", &format!("{height:.1}")),
        ];
        element("rect", &attributes, [title])
    });
    svg("bars", label, bars)
}

/// Returns a horizontal bar for a share of a whole.
pub fn share_bar(label: &str, share: f64, class: &str) -> Html {
    let width = format!("{:.1}", (share * WIDTH).clamp(2.0, WIDTH));
    let bar = [("class", class), ("width", width.as_str()), ("height", "48"), ("rx", "4")];
    svg("share", label, [element("rect", &bar, [])])
}

fn svg(class: &str, label: &str, shapes: impl IntoIterator<Item = Html>) -> Html {
    let attributes = [
        ("class", class),
        ("viewBox", &format!("0 0 {WIDTH} {HEIGHT}")),
        ("preserveAspectRatio", "none"),
        ("role", "img"),
        ("aria-label", label),
    ];
    element("svg", &attributes, shapes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_need_no_bound_for_each_count() {
        let histogram = Histogram { bounds: [].as_slice().into(), counts: vec![1, 2, 3], sum: 0.0 };
        assert_eq!(bars("durations", &histogram).as_str().matches("any: ").count(), 3);
    }

    #[test]
    fn curve_ends_at_the_right_edge_and_peaks_at_the_top() {
        let html = curve("x", &[0.0, 10.0], 61);
        assert!(html.as_str().contains(r#"points="236.0,47.0 240.0,3.0""#), "{html:?}");
    }

    #[test]
    fn curve_needs_two_values() {
        assert!(!curve("x", &[1.0], 61).as_str().contains("poly"));
    }

    #[test]
    fn bars_have_the_range_of_their_bucket_as_title() {
        let histogram =
            Histogram { bounds: [0.001, 1.0].as_slice().into(), counts: vec![1, 0, 1000], sum: 0.0 };
        let html = bars("x", &histogram);
        for title in ["up to 1 ms: 1<", "1 ms to 1 s: 0<", "above 1 s: 1,000<"] {
            assert!(html.as_str().contains(title), "{title} in {html:?}");
        }
        assert_eq!(html.as_str().matches("<rect").count(), 3);
    }

    #[test]
    fn bars_are_absent_without_buckets() {
        assert!(!bars("x", &Histogram::default()).as_str().contains("rect"));
    }
}
