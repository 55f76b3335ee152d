//! Numbers in short, human-readable form.

const UNITS: [&str; 6] = ["", "k", "M", "G", "T", "P"];
const BINARY_UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// Formats a whole number with thousands separators: 1,234,567.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a rate: 0.2, 17, 1.25k.
pub fn rate(value: f64) -> String {
    scaled(value, 1000.0, &UNITS, "")
}

/// Formats a size: 512 B, 1.5 MiB.
pub fn bytes(value: f64) -> String {
    scaled(value, 1024.0, &BINARY_UNITS, " ")
}

/// Formats a duration: 250 µs, 1.5 ms, 12 s, 3 min 20 s.
pub fn seconds(value: f64) -> String {
    match value {
        v if v >= 100.0 => age(v),
        v if v >= 0.9995 => format!("{} s", short(v)),
        v if v >= 0.000_999_5 => format!("{} ms", short(v * 1e3)),
        v if v > 0.0 => format!("{} µs", short(v * 1e6)),
        _ => "0 s".into(),
    }
}

/// Formats a duration in its two largest units: 5 s, 3 min 20 s, 4 h 5 min, 12 d 3 h.
pub fn age(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

fn scaled(value: f64, base: f64, units: &[&str], space: &str) -> String {
    let mut value = value;
    let mut unit = 0;
    while value >= base * 0.9995 && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{space}{}", short(value), units[unit])
}

/// Formats a value with three significant digits, or with all digits of its integer part.
fn short(value: f64) -> String {
    let decimals = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_separates_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn rate_and_bytes_have_three_digits() {
        assert_eq!(
            [0.0, 0.2, 17.0, 1250.0, 999.9, 2.5e9].map(rate),
            ["0", "0.2", "17", "1.25k", "1k", "2.5G"]
        );
        assert_eq!([0.0, 512.0, 1023.9, 1.5 * 1_048_576.0].map(bytes), ["0 B", "512 B", "1 KiB", "1.5 MiB"]);
    }

    #[test]
    fn seconds_choose_a_suitable_unit() {
        let durations = [0.0, 0.000_25, 0.000_999_9, 0.0015, 0.025, 0.9999, 2.5, 100.0];
        let texts = ["0 s", "250 µs", "1 ms", "1.5 ms", "25 ms", "1 s", "2.5 s", "1 min 40 s"];
        assert_eq!(durations.map(seconds), texts);
    }

    #[test]
    fn age_has_two_units() {
        let texts = ["0 s", "59 s", "1 min 0 s", "1 h 0 min", "1 d 0 h", "12 d 3 h"];
        assert_eq!([-1.0, 59.9, 60.0, 3600.0, 86_400.0, 1_047_600.0].map(age), texts);
    }
}
