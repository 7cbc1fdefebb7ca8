//! Some of the steps of a question.

/// Some of the steps of a question, a bit for each.
///
/// ```
/// use promql::model::steps::Steps;
///
/// let mut steps = Steps::none(100);
/// assert!(steps.insert(70) && !steps.insert(70));
/// assert_eq!(steps.iter().collect::<Vec<_>>(), [70]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps(Vec<u64>);

impl Steps {
    /// None of so many.
    #[must_use]
    pub fn none(steps: usize) -> Steps {
        Steps(vec![0; steps.div_ceil(64)])
    }

    /// The memory that they take, of so many, in bytes.
    #[must_use]
    pub fn bytes(steps: usize) -> usize {
        steps.div_ceil(64) * size_of::<u64>()
    }

    /// Is it one of them?
    #[inline]
    #[must_use]
    pub fn has(&self, step: usize) -> bool {
        self.0[step / 64] >> (step % 64) & 1 == 1
    }

    /// One more. Was it not there?
    #[inline]
    pub fn insert(&mut self, step: usize) -> bool {
        let (word, bit) = (&mut self.0[step / 64], 1 << (step % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// One less.
    #[inline]
    pub fn remove(&mut self, step: usize) {
        self.0[step / 64] &= !(1 << (step % 64));
    }

    /// Those of others, too.
    pub fn add(&mut self, others: &Steps) {
        self.0.iter_mut().zip(&others.0).for_each(|(own, other)| *own |= other);
    }

    /// Only those that others have, or do not have.
    pub fn keep(&mut self, others: &Steps, have: bool) {
        self.0.iter_mut().zip(&others.0).for_each(|(own, other)| *own &= if have { *other } else { !other });
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(64 * at + bit)
            })
        })
    }
}
