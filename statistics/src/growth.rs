//! By how much something grew over a window of which samples are known. Counters begin anew now and then, and what lies
//! between the ends of a window and the samples next to them is extrapolated, as far as a sample may be expected there.

/// The places of values that are below the one before them: there a counter began anew.
///
/// ```
/// assert_eq!(statistics::growth::falls(&[1.0, 3.0, 2.0, 2.0, 0.0]).collect::<Vec<_>>(), [2, 4]);
/// ```
pub fn falls(values: &[f64]) -> impl Iterator<Item = usize> + '_ {
    values.windows(2).enumerate().filter(|(_, pair)| pair[1] < pair[0]).map(|(at, _)| at + 1)
}

/// From the first value to the last one, with what was reached before each place where a counter began anew. It is added in
/// this order: two who ask for the same window get the same bits.
///
/// ```
/// use statistics::growth::{falls, grown};
/// let values = [1.0, 5.0, 2.0, 4.0];
/// assert_eq!(grown(&values, falls(&values)), 8.0);
/// ```
#[inline]
pub fn grown(values: &[f64], anew: impl Iterator<Item = usize>) -> f64 {
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return 0.0 };
    anew.fold(last - first, |by, at| by + values[at - 1])
}

/// From one value of a counter to the next: one that fell began at zero.
#[inline]
#[must_use]
pub fn step(before: f64, next: f64) -> f64 {
    if next < before { next } else { next - before }
}

/// The times of a window and of its samples, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// From the first sample to the last one, or from where a counter is known to have begun.
    pub sampled_s: f64,
    /// From one sample to the next, on average.
    pub step_s: f64,
    /// From the start of the window to the first sample.
    pub to_start_s: f64,
    /// From the last sample to the end of the window.
    pub to_end_s: f64,
}

/// How much a counter had at its first sample, and by how much it grew from there.
#[derive(Debug, Clone, Copy)]
pub struct Counter {
    /// The first value.
    pub first: f64,
    /// The growth between samples.
    pub by: f64,
}

impl Span {
    /// What growth between samples is multiplied by to be that of the whole window: to an end that is nearer than 1.1 steps it
    /// is extrapolated, otherwise by half a step; before a counter was zero, it was not there.
    ///
    /// ```
    /// use statistics::growth::{Counter, Span};
    /// let span = Span { sampled_s: 40.0, step_s: 10.0, to_start_s: 5.0, to_end_s: 15.0 };
    /// assert_eq!(span.factor(None), 50.0 / 40.0);
    /// assert_eq!(span.factor(Some(Counter { first: 1.0, by: 40.0 })), 46.0 / 40.0);
    /// ```
    #[inline]
    #[must_use]
    pub fn factor(self, counter: Option<Counter>) -> f64 {
        let Span { sampled_s, step_s, to_start_s, to_end_s } = self;
        if sampled_s == 0.0 {
            return 1.0;
        }
        let reach = |gap: f64| if gap >= step_s * 1.1 { step_s / 2.0 } else { gap };
        let mut before = reach(to_start_s);
        if let Some(Counter { first, by }) = counter.filter(|own| own.by > 0.0 && own.first >= 0.0) {
            before = (sampled_s * (first / by)).min(before);
        }
        (sampled_s + before + reach(to_end_s)) / sampled_s
    }
}
