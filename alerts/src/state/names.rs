//! Which metrics a question may read.

use std::collections::HashSet;

use promql::base::labels::NAME;
use promql::syntax::{Expr, Kind, MatchOp, Selector};

/// May a question read one of these metrics?
pub(super) fn may_read(expr: &Expr, metrics: &HashSet<String>) -> bool {
    let of = |selector: &Selector| {
        let mut names = selector.matchers.iter().filter(|matcher| matcher.label == NAME);
        // By an equal name it is one metric; by anything else it may be any.
        names.all(|matcher| match &matcher.op {
            MatchOp::Equal(name) => metrics.contains(name),
            _ => true,
        })
    };
    let own = match &expr.kind {
        Kind::Vector(selector) => of(selector),
        Kind::Matrix(matrix) => of(&matrix.selector),
        // `info` reads metrics that it does not name.
        Kind::Call(call) => call.function.name == "info",
        _ => false,
    };
    own || expr.children().any(|child| may_read(child, metrics))
}

#[cfg(test)]
mod tests {
    use promql::syntax::{Limits, parse};

    use super::*;

    #[test]
    fn a_name_that_is_not_there_is_not_read() {
        let metrics = HashSet::from(["a:sum".to_owned()]);
        for (question, expected) in [
            ("a:sum > 1", true),
            ("sum(rate(b[5m])) / on() a:sum", true),
            ("max_over_time(a:sum[5m])", true),
            ("b + 1", false),
            ("{job=\"x\"}", true),
            ("{__name__=~\"a.*\"}", true),
            ("avg_over_time(sum(b)[5m:1m])", false),
            ("avg_over_time(sum(a:sum)[5m:1m])", true),
            ("info(b)", true),
        ] {
            assert_eq!(may_read(&parse(question, &Limits::default()).unwrap(), &metrics), expected, "{question}");
        }
    }
}
