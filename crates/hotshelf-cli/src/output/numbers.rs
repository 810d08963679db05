//! Numbers for people.

use std::time::Duration;

/// Returns a number of bytes with a unit.
pub(crate) fn bytes(count: f64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    if count < 1024.0 {
        return format!("{count:.0} B");
    }
    let (mut count, mut unit) = (count / 1024.0, 0);
    while count >= 1024.0 && unit + 1 < UNITS.len() {
        count /= 1024.0;
        unit += 1;
    }
    format!("{count:.1} {}", UNITS[unit])
}

/// Returns a duration with a unit.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.is_zero() => "0 s".to_owned(),
        0 if time < Duration::from_millis(1) => format!("{} µs", time.as_micros()),
        0 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Returns seconds as JSON shows them.
pub(crate) fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1e3
}

/// Returns a number with the noun that it counts.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", separated(number), if number == 1 { one } else { many })
}

/// Returns a share in percent; a dash without a whole.
pub(crate) fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.1} %", 100.0 * part / whole) } else { "-".to_owned() }
}

/// Returns a whole number with a comma after each three digits.
pub(crate) fn separated(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        assert_eq!([0.0, 1023.0, 1536.0, 5e7].map(bytes), ["0 B", "1023 B", "1.5 KB", "47.7 MB"]);
        assert_eq!(duration(Duration::ZERO), "0 s");
        assert_eq!(counted(1, "key", "keys") + &counted(0, "key", "keys"), "1 key0 keys");
        let times = [900, 1_500_000, 2_500_000_000, 90_000_000_000, 7_260_000_000_000];
        let shown = times.map(|nanos| duration(Duration::from_nanos(nanos)));
        assert_eq!(shown, ["0 µs", "1.5 ms", "2.5 s", "1m 30s", "2h 01m"]);
        assert_eq!([7, 1_000, 1_234_567].map(separated), ["7", "1,000", "1,234,567"]);
        assert_eq!((percent(1.0, 3.0), percent(0.0, 0.0)), ("33.3 %".into(), "-".into()));
    }
}
