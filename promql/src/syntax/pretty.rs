//! A question over several lines where one would be long, as Prometheus' page formats it.

use super::expr::{Expr, Kind};
use super::print::{head, infix, suffix, unsigned_base};

/// A longer node is written over several lines.
const LINE_BYTES_MAX: usize = 100;

/// The question, formatted.
///
/// ```
/// use promql::syntax::{Limits, parse, pretty};
///
/// let question = parse("sum by(job)(rate(requests_total[5m]))", &Limits::default()).unwrap();
/// assert_eq!(pretty(&question), "sum by (job) (rate(requests_total[5m]))");
/// ```
#[must_use]
pub fn pretty(expr: &Expr) -> String {
    at(expr, 0)
}

fn at(expr: &Expr, level: usize) -> String {
    let indent = "  ".repeat(level);
    let whole = expr.to_string();
    let is_long = whole.len() > LINE_BYTES_MAX;
    match &expr.kind {
        Kind::Unary { is_negative, of } => {
            format!("{indent}{}{}", if *is_negative { "-" } else { "+" }, at(of, level).trim())
        }
        // As Prometheus has it, without an indent where it fits a line.
        Kind::Subquery(_) if !is_long => whole,
        Kind::Subquery(subquery) => format!("{}{}", at(&subquery.of, level), suffix(subquery)),
        _ if !is_long => format!("{indent}{whole}"),
        Kind::Aggregate(aggregate) => {
            let parameter = aggregate.parameter.as_ref().map(|own| format!("{},\n", at(own, level + 1)));
            let of = at(&aggregate.of, level + 1);
            format!("{indent}{}(\n{}{of}\n{indent})", head(aggregate), parameter.unwrap_or_default())
        }
        Kind::Binary(binary) => {
            let (left, right) = (at(&binary.left, level + 1), at(&binary.right, level + 1));
            let left = unsigned_base(binary).map_or(left, |base| format!("{indent}  {base}"));
            format!("{left}\n{indent}{}\n{right}", infix(binary))
        }
        Kind::Call(call) => {
            let arguments: Vec<String> = call.arguments.iter().map(|own| at(own, level + 1)).collect();
            format!("{indent}{}(\n{}\n{indent})", call.function.name, arguments.join(",\n"))
        }
        Kind::Paren(of) => format!("{indent}(\n{}\n{indent})", at(of, level + 1)),
        _ => format!("{indent}{whole}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{Limits, parse};

    /// From `prettier_test.go` of Prometheus, in words of ours.
    #[test]
    fn long_questions_take_several_lines() {
        let long = "a_metric_with_a_long_name{labels=\"of\",some=\"length\",with=\"several\"}";
        let cases = [
            (
                format!("sum by (job, instance) ({long}) / on (job) {long}"),
                format!("  sum by (job, instance) ({long})\n/ on (job)\n  {long}"),
            ),
            (
                format!("topk(5, sum without (instance) (rate({long}[5m] offset 1h)))"),
                format!("topk(\n  5,\n  sum without (instance) (\n    rate({long}[5m] offset 1h)\n  )\n)"),
            ),
            (
                format!("-({long} + bool_is_no_word_but_a_name > bool {long})"),
                format!("-(\n    {long} + bool_is_no_word_but_a_name\n  > bool\n    {long}\n)"),
            ),
            (
                format!("max_over_time(rate({long}{{}}[5m])[30m:1m] offset 5m)", long = "x_total"),
                "max_over_time(rate(x_total[5m])[30m:1m] offset 5m)".to_owned(),
            ),
        ];
        for (text, expected) in cases {
            let expr = parse(&text, &Limits::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
            let shown = pretty(&expr);
            assert_eq!(shown, expected);
            assert_eq!(parse(&shown, &Limits::default()).unwrap().to_string(), expr.to_string());
        }
    }
}
