//! The functions, and what they take.

use super::expr::Type;
use Type::{Matrix, Scalar, Text, Vector};

/// A function.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// What it takes. Those that may be left out or come again are the last one.
    pub takes: &'static [Type],
    /// How often the last one may come.
    pub last: Last,
    /// What it gives.
    pub gives: Type,
}

/// How often the last argument of a function comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// Once.
    Once,
    /// So often, or not at all.
    UpTo(usize),
    /// As often as one likes.
    Any,
}

const fn once(name: &'static str, takes: &'static [Type], gives: Type) -> Function {
    Function { name, takes, last: Last::Once, gives }
}

const fn may(name: &'static str, takes: &'static [Type], last: Last) -> Function {
    Function { name, takes, last, gives: Vector }
}

/// By name.
static FUNCTIONS: [Function; 90] = [
    once("abs", &[Vector], Vector),
    once("absent", &[Vector], Vector),
    once("absent_over_time", &[Matrix], Vector),
    once("acos", &[Vector], Vector),
    once("acosh", &[Vector], Vector),
    once("asin", &[Vector], Vector),
    once("asinh", &[Vector], Vector),
    once("atan", &[Vector], Vector),
    once("atanh", &[Vector], Vector),
    once("avg_over_time", &[Matrix], Vector),
    once("ceil", &[Vector], Vector),
    once("changes", &[Matrix], Vector),
    once("clamp", &[Vector, Scalar, Scalar], Vector),
    once("clamp_max", &[Vector, Scalar], Vector),
    once("clamp_min", &[Vector, Scalar], Vector),
    once("cos", &[Vector], Vector),
    once("cosh", &[Vector], Vector),
    once("count_over_time", &[Matrix], Vector),
    may("day_of_month", &[Vector], Last::UpTo(1)),
    may("day_of_week", &[Vector], Last::UpTo(1)),
    may("day_of_year", &[Vector], Last::UpTo(1)),
    may("days_in_month", &[Vector], Last::UpTo(1)),
    once("deg", &[Vector], Vector),
    once("delta", &[Matrix], Vector),
    once("deriv", &[Matrix], Vector),
    once("double_exponential_smoothing", &[Matrix, Scalar, Scalar], Vector),
    once("end", &[], Scalar),
    once("exp", &[Vector], Vector),
    once("first_over_time", &[Matrix], Vector),
    once("floor", &[Vector], Vector),
    once("histogram_avg", &[Vector], Vector),
    once("histogram_count", &[Vector], Vector),
    once("histogram_fraction", &[Scalar, Scalar, Vector], Vector),
    once("histogram_quantile", &[Scalar, Vector], Vector),
    may("histogram_quantiles", &[Vector, Text, Scalar, Scalar], Last::UpTo(9)),
    once("histogram_stddev", &[Vector], Vector),
    once("histogram_stdvar", &[Vector], Vector),
    once("histogram_sum", &[Vector], Vector),
    may("hour", &[Vector], Last::UpTo(1)),
    once("idelta", &[Matrix], Vector),
    once("increase", &[Matrix], Vector),
    may("info", &[Vector, Vector], Last::UpTo(1)),
    once("irate", &[Matrix], Vector),
    may("label_join", &[Vector, Text, Text, Text], Last::Any),
    once("label_replace", &[Vector, Text, Text, Text, Text], Vector),
    once("last_over_time", &[Matrix], Vector),
    once("ln", &[Vector], Vector),
    once("log10", &[Vector], Vector),
    once("log2", &[Vector], Vector),
    once("mad_over_time", &[Matrix], Vector),
    once("max_of", &[Scalar, Scalar], Scalar),
    once("max_over_time", &[Matrix], Vector),
    once("min_of", &[Scalar, Scalar], Scalar),
    once("min_over_time", &[Matrix], Vector),
    may("minute", &[Vector], Last::UpTo(1)),
    may("month", &[Vector], Last::UpTo(1)),
    once("pi", &[], Scalar),
    once("predict_linear", &[Matrix, Scalar], Vector),
    once("present_over_time", &[Matrix], Vector),
    once("quantile_over_time", &[Scalar, Matrix], Vector),
    once("rad", &[Vector], Vector),
    once("range", &[], Scalar),
    once("rate", &[Matrix], Vector),
    once("resets", &[Matrix], Vector),
    may("round", &[Vector, Scalar], Last::UpTo(1)),
    once("scalar", &[Vector], Scalar),
    once("sgn", &[Vector], Vector),
    once("sin", &[Vector], Vector),
    once("sinh", &[Vector], Vector),
    once("sort", &[Vector], Vector),
    may("sort_by_label", &[Vector, Text], Last::Any),
    may("sort_by_label_desc", &[Vector, Text], Last::Any),
    once("sort_desc", &[Vector], Vector),
    once("sqrt", &[Vector], Vector),
    once("start", &[], Scalar),
    once("start_timestamp", &[Vector], Vector),
    once("stddev_over_time", &[Matrix], Vector),
    once("stdvar_over_time", &[Matrix], Vector),
    once("step", &[], Scalar),
    once("sum_over_time", &[Matrix], Vector),
    once("tan", &[Vector], Vector),
    once("tanh", &[Vector], Vector),
    once("time", &[], Scalar),
    once("timestamp", &[Vector], Vector),
    once("ts_of_first_over_time", &[Matrix], Vector),
    once("ts_of_last_over_time", &[Matrix], Vector),
    once("ts_of_max_over_time", &[Matrix], Vector),
    once("ts_of_min_over_time", &[Matrix], Vector),
    once("vector", &[Scalar], Vector),
    may("year", &[Vector], Last::UpTo(1)),
];

/// All functions, by name.
#[must_use]
pub fn functions() -> &'static [Function] {
    &FUNCTIONS
}

/// The function of this name; names have small letters.
///
/// ```
/// use promql::syntax::{Type, function};
///
/// assert_eq!(function("rate").unwrap().takes, [Type::Matrix]);
/// assert!(function("Rate").is_none());
/// ```
#[must_use]
pub fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|function| function.name.cmp(name)).ok().map(|at| &FUNCTIONS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_sorted() {
        assert!(FUNCTIONS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
