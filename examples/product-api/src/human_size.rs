//! Byte counts in the format of `INFO`.

const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];

/// Formats a byte count like Redis: `0B`, `1.21M`, `4.00G`.
pub(crate) fn human_size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    // The precision that f64 loses above 2^53 does not affect two decimals.
    let mut scaled = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if scaled < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        unit = next;
    }
    format!("{scaled:.2}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_matches_redis_info() {
        let table = [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1_048_575, "1024.00K"),
            (1_048_576, "1.00M"),
            (1_268_776, "1.21M"),
            (4 << 30, "4.00G"),
            (3 << 40, "3.00T"),
            (u64::MAX, "16384.00P"),
        ];
        for (bytes, text) in table {
            assert_eq!(human_size(bytes), text);
        }
    }
}
