//! The runs of rows of one series among rows in key order.

/// The runs, one a series: an end is found by steps that double, and by halving the last one, as runs are long.
///
/// The rows of a series must stand together.
pub(crate) fn series_runs(series: &[u32]) -> impl Iterator<Item = &[u32]> {
    let mut rest = series;
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let mut step = 1;
        while rest.get(step) == Some(&first) {
            step *= 2;
        }
        let last_step = &rest[step / 2..step.min(rest.len())];
        let (run, others) = rest.split_at(step / 2 + last_step.partition_point(|own| *own == first));
        rest = others;
        Some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_any_length_are_found() {
        for lengths in [vec![], vec![1], vec![1, 1, 1], vec![7, 1, 2, 64, 3], vec![1000, 1], vec![1, 1023, 1024, 1025]]
        {
            let repeat = |(at, length): (usize, &usize)| std::iter::repeat_n(at as u32 * 3 % 7, *length);
            let series: Vec<u32> = lengths.iter().enumerate().flat_map(repeat).collect();
            let runs: Vec<usize> = series_runs(&series).map(<[u32]>::len).collect();
            assert_eq!(runs, lengths);
        }
    }
}
