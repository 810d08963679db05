//! The spread of repeated measurements.

/// The best and the median of several runs.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) best: f64,
    pub(crate) median: f64,
}

impl Spread {
    pub(crate) fn of(times: &mut [f64]) -> Self {
        times.sort_by(f64::total_cmp);
        Self { best: times[0], median: times[times.len() / 2] }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let precision = formatter.precision().unwrap_or(0);
        write!(formatter, "{:.precision$} ({:.precision$})", self.best, self.median)
    }
}
