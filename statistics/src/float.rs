//! Floats as Prometheus adds, compares and writes them.

/// A sum that keeps what each addition loses (Kahan, as improved by Neumaier): `sum` of 1e100, 1, -1e100 is 1.
///
/// ```
/// use statistics::float::Sum;
///
/// let mut sum = Sum::default();
/// [1e100, 1.0, -1e100].into_iter().for_each(|number| sum.add(number));
/// assert_eq!(sum.total(), 1.0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sum {
    /// The sum.
    pub sum: f64,
    /// What it lost.
    pub lost: f64,
}

impl Sum {
    /// A sum of one number.
    #[must_use]
    pub fn of(sum: f64) -> Sum {
        Sum { sum, lost: 0.0 }
    }

    /// One more.
    #[inline]
    pub fn add(&mut self, number: f64) {
        let sum = self.sum + number;
        if sum.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= number.abs() {
            self.lost += (self.sum - sum) + number;
        } else {
            self.lost += (number - sum) + self.sum;
        }
        self.sum = sum;
    }

    /// A sum of all: as one after the other is [added](Self::add).
    ///
    /// ```
    /// use statistics::float::Sum;
    ///
    /// assert_eq!(Sum::of_all(&[1e100, 1.0, -1e100]).total(), 1.0);
    /// ```
    #[must_use]
    pub fn of_all(numbers: &[f64]) -> Sum {
        Sum::default().with_all(numbers)
    }

    /// All of them more. Where the sum stays finite nothing of it was infinite on the way, which need not be looked at then.
    fn with_all(self, numbers: &[f64]) -> Sum {
        let Sum { mut sum, mut lost } = self;
        for number in numbers {
            let next = sum + number;
            let (large, small) = if sum.abs() >= number.abs() { (sum, *number) } else { (*number, sum) };
            lost += (large - next) + small;
            sum = next;
        }
        if sum.is_finite() {
            return Sum { sum, lost };
        }
        let mut sum = self;
        numbers.iter().for_each(|number| sum.add(*number));
        sum
    }

    /// With what was lost.
    #[must_use]
    pub fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }

    /// Both parts times a number.
    #[must_use]
    pub fn times(self, factor: f64) -> Sum {
        Sum { sum: self.sum * factor, lost: self.lost * factor }
    }
}

/// A mean that does not overflow before its last number: a sum as long as that is finite, then a mean that moves.
#[derive(Debug, Clone, Copy)]
pub struct Mean {
    sum: Sum,
    count: f64,
    is_moving: bool,
}

impl Mean {
    /// A mean of one number.
    #[must_use]
    pub fn of(number: f64) -> Mean {
        Mean { sum: Sum::of(number), count: 1.0, is_moving: false }
    }

    /// One more.
    #[inline]
    pub fn add(&mut self, number: f64) {
        self.count += 1.0;
        if !self.is_moving {
            let mut sum = self.sum;
            sum.add(number);
            if !sum.sum.is_infinite() {
                self.sum = sum;
                return;
            }
            self.is_moving = true;
            let before = self.count - 1.0;
            self.sum = Sum { sum: self.sum.sum / before, lost: self.sum.lost / before };
        }
        self.sum = self.sum.times((self.count - 1.0) / self.count);
        self.sum.add(number / self.count);
    }

    /// The mean of all: as one after the other is [added](Self::add). `None` of nothing.
    ///
    /// ```
    /// use statistics::float::Mean;
    ///
    /// assert_eq!(Mean::of_all(&[1.0, 2.0, 6.0]), Some(3.0));
    /// assert_eq!(Mean::of_all(&[f64::MAX, f64::MAX]), Some(f64::MAX));
    /// ```
    #[must_use]
    pub fn of_all(numbers: &[f64]) -> Option<f64> {
        let (first, rest) = numbers.split_first()?;
        let sum = Sum::of(*first).with_all(rest);
        if sum.sum.is_finite() {
            return Some(Mean { sum, count: numbers.len() as f64, is_moving: false }.value());
        }
        let mut mean = Mean::of(*first);
        rest.iter().for_each(|number| mean.add(*number));
        Some(mean.value())
    }

    /// What it is.
    #[must_use]
    pub fn value(self) -> f64 {
        match self.is_moving {
            true => self.sum.sum + self.sum.lost,
            false => self.sum.sum / self.count + self.sum.lost / self.count,
        }
    }
}

/// Sums of neighbours among numbers of which every sum is exact: whole ones that are not too large. There nothing is lost,
/// in whatever order they are added.
///
/// ```
/// use statistics::float::ExactSums;
///
/// let sums = ExactSums::of(&[3.0, -1.0, 4.0]).unwrap();
/// assert_eq!(sums.sum(1..3), 3.0);
/// assert!(ExactSums::of(&[0.1]).is_none());
/// ```
#[derive(Debug, Clone)]
pub struct ExactSums(Vec<f64>);

impl ExactSums {
    /// Of numbers of this kind; `None` of others.
    #[must_use]
    pub fn of(numbers: &[f64]) -> Option<ExactSums> {
        // Added to a number that is smaller than the half of it, this leaves no digits behind the point.
        const ROUNDS: f64 = (3u64 << 51) as f64;
        const EXACT_MAX: f64 = (1u64 << 51) as f64;
        let largest = EXACT_MAX / numbers.len().max(1) as f64;
        // A negative zero is the sum of negative zeros alone.
        let is_fit = |number: f64| {
            number.abs() <= largest && (number + ROUNDS) - ROUNDS == number && number.to_bits() != (-0.0f64).to_bits()
        };
        if !numbers.iter().fold(true, |all, number| all & is_fit(*number)) {
            return None;
        }
        let mut sum = 0.0;
        let sums = numbers.iter().map(|number| {
            sum += number;
            sum
        });
        Some(ExactSums([0.0].into_iter().chain(sums).collect()))
    }

    /// The sum of the numbers at these places.
    ///
    /// # Panics
    ///
    /// If there are no such places.
    #[must_use]
    pub fn sum(&self, places: std::ops::Range<usize>) -> f64 {
        self.0[places.end] - self.0[places.start]
    }
}

/// The smaller one, NaN if one is.
#[must_use]
pub fn min(one: f64, other: f64) -> f64 {
    if one.is_nan() || other.is_nan() { f64::NAN } else { one.min(other) }
}

/// The larger one, NaN if one is.
#[must_use]
pub fn max(one: f64, other: f64) -> f64 {
    if one.is_nan() || other.is_nan() { f64::NAN } else { one.max(other) }
}

/// The quantile of numbers, between two of them by their distance. NaN is the smallest. The numbers are sorted.
#[must_use]
pub fn quantile(q: f64, numbers: &mut [f64]) -> f64 {
    if numbers.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    numbers.sort_unstable_by(|one, other| one.partial_cmp(other).unwrap_or_else(|| other.is_nan().cmp(&one.is_nan())));
    let last = numbers.len() - 1;
    let rank = q * last as f64;
    let low = rank.floor();
    let weight = rank - low;
    let (low, high) = (low as usize, (low as usize + 1).min(last));
    numbers[low] * (1.0 - weight) + numbers[high] * weight
}

/// As `%g` of Go: the shortest digits, with an exponent below 1e-4 and from a bound on.
fn general(number: f64, exponent_max: i32) -> String {
    if !number.is_finite() {
        return show(number);
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = parts(&scientific);
    if (-4..exponent_max).contains(&exponent) { number.to_string() } else { with_exponent(digits, exponent) }
}

/// The digits and the exponent of a number as `{:e}` writes it.
fn parts(scientific: &str) -> (&str, i32) {
    let (digits, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    (digits, exponent.parse().unwrap_or(0))
}

/// With two digits of the exponent at least, as Go has it.
fn with_exponent(digits: &str, exponent: i32) -> String {
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// As `%e` of Go: so many digits behind the point, or the shortest.
///
/// ```
/// # use statistics::float::show_exponent;
/// assert_eq!((show_exponent(1500.0, Some(2)), show_exponent(0.0, None)), ("1.50e+03".into(), "0e+00".into()));
/// ```
#[must_use]
pub fn show_exponent(number: f64, decimals: Option<usize>) -> String {
    if !number.is_finite() {
        return show(number);
    }
    let scientific = match decimals {
        Some(decimals) => format!("{number:.decimals$e}"),
        None => format!("{number:e}"),
    };
    let (digits, exponent) = parts(&scientific);
    with_exponent(digits, exponent)
}

/// As `%g` of Go.
///
/// ```
/// # use statistics::float::show_general;
/// assert_eq!([1e6, 0.0001, 1e-7].map(show_general), ["1e+06", "0.0001", "1e-07"]);
/// ```
#[must_use]
pub fn show_general(number: f64) -> String {
    general(number, 6)
}

/// As `%.{digits}g` of Go.
///
/// ```
/// # use statistics::float::show_digits;
/// assert_eq!([1234.5, 12345.0, 0.00001234, 0.5, 100.0].map(|own| show_digits(own, 4)), ["1234", "1.234e+04", "1.234e-05", "0.5", "100"]);
/// ```
#[must_use]
pub fn show_digits(number: f64, digits: usize) -> String {
    if number == 0.0 || !number.is_finite() {
        return show_general(number);
    }
    let digits = digits.max(1);
    let scientific = format!("{number:.*e}", digits - 1);
    let (shown, exponent) = parts(&scientific);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match usize::try_from(digits as i64 - 1 - i64::from(exponent)) {
        Ok(decimals) if exponent >= -4 => trimmed(&format!("{number:.decimals$}")),
        _ => with_exponent(&trimmed(shown), exponent),
    }
}

/// The shortest digits, never with an exponent, as values of labels have them.
#[must_use]
pub fn show(number: f64) -> String {
    match number {
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        _ if number.is_nan() => "NaN".into(),
        _ => plain(number, &mut zmij::Buffer::new()).map_or_else(|| number.to_string(), str::to_owned),
    }
}

/// The shortest digits of a finite number, if its size is a common one. Of two that are as near the even one is taken, as Go
/// does and the standard library does not.
fn plain(number: f64, buffer: &mut zmij::Buffer) -> Option<&str> {
    let digits = buffer.format_finite(number);
    (!digits.contains('e')).then(|| digits.strip_suffix(".0").unwrap_or(digits))
}

/// As answers have it: with an exponent below 1e-6 and from 1e21 on.
///
/// ```
/// # use statistics::float::show_value;
/// assert_eq!([1e20, 1e21, 1e-7, f64::INFINITY].map(show_value), ["100000000000000000000", "1e+21", "1e-07", "+Inf"]);
/// ```
#[must_use]
pub fn show_value(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || !number.is_finite() || (1e-6..1e21).contains(&size) {
        return show(number);
    }
    general(number, i32::MIN)
}

/// Adds a number as [`show_value`] writes it.
///
/// ```
/// # use statistics::float::push_value;
/// let mut text = String::new();
/// [0.1, -3.0, 1e21].iter().for_each(|number| push_value(*number, &mut text));
/// assert_eq!(text, "0.1-31e+21");
/// ```
pub fn push_value(number: f64, text: &mut String) {
    // As most numbers are: whole, or with a few digits behind the point.
    let whole = number as i64;
    if whole as f64 == number && number.abs() < 1e15 && (whole != 0 || number.is_sign_positive()) {
        return text.push_str(itoa::Buffer::new().format(whole));
    }
    if (1e-4..1e15).contains(&number.abs()) {
        let mut buffer = zmij::Buffer::new();
        if let Some(digits) = plain(number, &mut buffer) {
            return text.push_str(digits);
        }
    }
    text.push_str(&show_value(number));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_does_not_overflow() {
        let mut mean = Mean::of(f64::MAX);
        mean.add(f64::MAX);
        mean.add(f64::MAX);
        assert!((mean.value() / f64::MAX - 1.0).abs() < 1e-12);
    }

    /// Loops over many, and differences of sums, are what one after the other gives, to the bit.
    #[test]
    fn sums_and_means_of_all_are_those_one_by_one() {
        let mut random = 88_172_645_463_325_252u64;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let odd = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MAX, f64::MIN, 1e300, 5e-324, 1e16];
        let mut exact = 0;
        for round in 0..20_000 {
            let numbers: Vec<f64> = (0..next(40))
                .map(|_| match (round % 4, next(8)) {
                    (1, _) => next(2_000_000) as f64 / 1000.0 - 1000.0,
                    (2, 0) => odd[next(odd.len() as u64) as usize],
                    (3, 0) => 0.5 * next(3) as f64,
                    (3, 1) => (next(1 << 52)) as f64,
                    _ => next(2000) as f64 - 1000.0,
                })
                .collect();
            let one_by_one = |numbers: &[f64]| {
                let mut sum = Sum::default();
                numbers.iter().for_each(|number| sum.add(*number));
                let mean = numbers.split_first().map(|(first, rest)| {
                    let mut mean = Mean::of(*first);
                    rest.iter().for_each(|number| mean.add(*number));
                    mean.value().to_bits()
                });
                (sum, mean)
            };
            let bits = |sum: Sum| [sum.sum, sum.lost, sum.total()].map(f64::to_bits);
            let (sum, mean) = one_by_one(&numbers);
            // Of what is no number the bits are of no matter.
            if !sum.total().is_nan() {
                assert_eq!(bits(Sum::of_all(&numbers)), bits(sum), "{numbers:?}");
                assert_eq!(Mean::of_all(&numbers).map(f64::to_bits), mean, "{numbers:?}");
            }
            assert_eq!(Sum::of_all(&numbers).total().is_nan(), sum.total().is_nan(), "{numbers:?}");
            let Some(sums) = ExactSums::of(&numbers) else { continue };
            exact += 1;
            let first = next(numbers.len() as u64 + 1) as usize;
            let places = first..first + next((numbers.len() - first) as u64 + 1) as usize;
            let (sum, mean) = one_by_one(&numbers[places.clone()]);
            assert_eq!(sums.sum(places.clone()).to_bits(), sum.total().to_bits(), "{numbers:?} {places:?}");
            let own = sums.sum(places.clone()) / places.len() as f64;
            assert!(places.is_empty() || Some(own.to_bits()) == mean, "{numbers:?} {places:?}");
        }
        assert!((5_000..15_000).contains(&exact), "{exact}");
    }

    #[test]
    fn numbers_are_pushed_as_they_are_shown() {
        let mut random = 88_172_645_463_325_252u64;
        for round in 0..200_000u32 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Of all sizes, and of those that are common.
            let number = match round % 5 {
                0 => f64::from_bits(random),
                4 => [0.0, -0.0, 1e15, -1e15, 999_999_999_999_999.0, 1e20, 9.2e18, -1.0][(random % 8) as usize],
                1 => (random % 2_000_000) as f64 / 1000.0 - 1000.0,
                2 => (random % (1 << 54)) as f64,
                _ => (random % 1_000_000) as f64 / 1e9,
            };
            let mut text = String::new();
            push_value(number, &mut text);
            assert_eq!(text, show_value(number));
            assert!(number.is_nan() || text.parse() == Ok(number), "{text}");
        }
        // Halfway between two that are as short.
        assert_eq!(
            [199_138_850_438_087.0 + 0.125, 8_388_608.0 + 1.0 / 1024.0].map(show_value),
            ["199138850438087.12", "8388608.000976562"]
        );
    }

    #[test]
    fn numbers_are_written_as_in_go() {
        assert_eq!(
            [0.5, 123_456.0, 1e5, 1e6, -1.5e-5].map(show_general),
            ["0.5", "123456", "100000", "1e+06", "-1.5e-05"]
        );
        assert_eq!(
            [0.123, 1.0, 12.0, 123.0, 0.00012].map(|own| show_digits(own, 2)),
            ["0.12", "1", "12", "1.2e+02", "0.00012"]
        );
        assert_eq!(quantile(0.5, &mut [3.0, f64::NAN, 1.0]), 1.0);
    }
}
