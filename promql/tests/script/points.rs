//! Are values the same?

use promql::model::samples::Sample;

/// Are they the same, to six digits?
pub fn same(wanted: &Sample, found: &Sample) -> bool {
    let near = |one: f64, other: f64| {
        one == other
            || one.is_nan() && other.is_nan()
            || one.is_finite() && other.is_finite() && {
                let distance = (one - other).abs();
                distance <= 1e-6 * one.abs().max(other.abs()) || distance < 1e-300
            }
    };
    match (wanted, found) {
        (Sample::Float(wanted), Sample::Float(found)) => near(*wanted, *found),
        (Sample::Histogram(wanted), Sample::Histogram(found)) => {
            let (one, other) = (wanted.buckets(), found.buckets());
            near(wanted.count, found.count)
                && near(wanted.sum, found.sum)
                && one.len() == other.len()
                && one.iter().zip(&other).all(|(one, other)| {
                    near(one.lower, other.lower) && near(one.upper, other.upper) && near(one.count, other.count)
                })
        }
        _ => false,
    }
}
