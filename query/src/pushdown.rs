//! Filters that the store itself answers: time ranges and conditions on tags.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Like, Operator};
use tsdb::{ScanRequest, TIME_COLUMN, TagPredicate};

/// A filter that the store applies exactly.
#[derive(Debug, PartialEq)]
pub(crate) enum Pushed {
    /// Times from..=to.
    Time(i64, i64),
    Tag(TagPredicate),
}

impl Pushed {
    /// Narrows a request by this filter.
    pub(crate) fn narrow(self, request: &mut ScanRequest) {
        match self {
            Pushed::Time(from, to) => {
                request.from = request.from.max(from);
                request.to = request.to.min(to);
            }
            Pushed::Tag(predicate) => request.tags.push(predicate),
        }
    }
}

/// The filter as the store would apply it, or `None` if it cannot.
pub(crate) fn push(filter: &Expr, is_tag: &dyn Fn(&str) -> bool) -> Option<Pushed> {
    let tag = |expr: &Expr| match expr {
        Expr::Column(column) if is_tag(&column.name) => Some(column.name.clone()),
        _ => None,
    };
    match filter {
        // The optimizer writes short lists as alternatives.
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            match (push(left, is_tag)?, push(right, is_tag)?) {
                (Pushed::Tag(TagPredicate::In(tag, values)), Pushed::Tag(TagPredicate::In(other, more)))
                    if tag == other =>
                {
                    Some(Pushed::Tag(TagPredicate::In(tag, [values, more].concat())))
                }
                _ => None,
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            // A literal on the left is turned around.
            let (column, op, value) = match (&**left, &**right) {
                (column, Expr::Literal(value, _)) => (column, *op, value),
                (Expr::Literal(value, _), column) => (column, op.swap()?, value),
                _ => return None,
            };
            if let Expr::Column(column) = column
                && column.name == TIME_COLUMN
            {
                return time(op, value);
            }
            match op {
                Operator::Eq => Some(Pushed::Tag(TagPredicate::In(tag(column)?, vec![text(value)?]))),
                // The store takes the same syntax; what it would refuse is left to DataFusion.
                Operator::RegexMatch | Operator::RegexNotMatch => {
                    let (tag, pattern) = (tag(column)?, text(value)?);
                    regex::Regex::new(&pattern).ok()?;
                    Some(Pushed::Tag(match op {
                        Operator::RegexMatch => TagPredicate::Matches(tag, pattern),
                        _ => TagPredicate::NotMatches(tag, pattern),
                    }))
                }
                Operator::NotEq => Some(Pushed::Tag(TagPredicate::NotIn(tag(column)?, vec![text(value)?]))),
                _ => None,
            }
        }
        Expr::InList(InList { expr, list, negated }) => {
            let values = list.iter().map(|item| match item {
                Expr::Literal(value, _) => text(value),
                _ => None,
            });
            let (tag, values) = (tag(expr)?, values.collect::<Option<_>>()?);
            Some(Pushed::Tag(if *negated { TagPredicate::NotIn(tag, values) } else { TagPredicate::In(tag, values) }))
        }
        Expr::Like(Like { negated: false, expr, pattern, escape_char: None, case_insensitive: false }) => {
            let Expr::Literal(pattern, _) = &**pattern else { return None };
            let pattern = text(pattern)?;
            let start = pattern.strip_suffix('%')?;
            let is_plain = !start.contains(['%', '_', '\\']);
            is_plain.then_some(Pushed::Tag(TagPredicate::StartsWith(tag(expr)?, start.to_owned())))
        }
        Expr::IsNull(expr) => Some(Pushed::Tag(TagPredicate::IsNull(tag(expr)?))),
        Expr::IsNotNull(expr) => Some(Pushed::Tag(TagPredicate::IsNotNull(tag(expr)?))),
        _ => None,
    }
}

fn time(op: Operator, value: &ScalarValue) -> Option<Pushed> {
    let ScalarValue::TimestampNanosecond(Some(at), _) = value else { return None };
    // After the last instant and before the first there is nothing.
    let nothing = (i64::MAX, i64::MIN);
    let (from, to) = match op {
        Operator::Eq => (*at, *at),
        Operator::GtEq => (*at, i64::MAX),
        Operator::Gt => at.checked_add(1).map_or(nothing, |from| (from, i64::MAX)),
        Operator::LtEq => (i64::MIN, *at),
        Operator::Lt => at.checked_sub(1).map_or(nothing, |to| (i64::MIN, to)),
        _ => return None,
    };
    Some(Pushed::Time(from, to))
}

fn text(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Dictionary(_, inner) => text(inner),
        other => other.try_as_str().flatten().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{col, lit};

    fn pushed(filter: Expr) -> Option<Pushed> {
        push(&filter, &|name| name == "host")
    }

    fn at(ns: i64) -> Expr {
        lit(ScalarValue::TimestampNanosecond(Some(ns), Some("UTC".into())))
    }

    #[test]
    fn times_become_inclusive_ranges() {
        assert_eq!(pushed(col("time").gt(at(5))), Some(Pushed::Time(6, i64::MAX)));
        assert_eq!(pushed(at(5).gt(col("time"))), Some(Pushed::Time(i64::MIN, 4)));
        assert_eq!(pushed(col("time").gt(at(i64::MAX))), Some(Pushed::Time(i64::MAX, i64::MIN)));
        assert_eq!(pushed(col("time").not_eq(at(5))), None);
    }

    #[test]
    fn only_tags_are_pushed() {
        let one = |value: &str| vec![value.to_string()];
        assert_eq!(pushed(col("host").eq(lit("a"))), Some(Pushed::Tag(TagPredicate::In("host".into(), one("a")))));
        assert_eq!(
            pushed(lit("a").not_eq(col("host"))),
            Some(Pushed::Tag(TagPredicate::NotIn("host".into(), one("a"))))
        );
        assert_eq!(pushed(col("host").is_null()), Some(Pushed::Tag(TagPredicate::IsNull("host".into()))));
        let either = col("host").eq(lit("a")).or(col("host").eq(lit("b")));
        let both = Pushed::Tag(TagPredicate::In("host".into(), vec!["a".into(), "b".into()]));
        assert_eq!(pushed(either), Some(both));
        assert_eq!(pushed(col("host").eq(lit("a")).or(col("note").eq(lit("b")))), None);
        assert_eq!(pushed(col("note").eq(lit("a"))), None);
        assert_eq!(pushed(col("host").gt(lit("a"))), None);
        let start = |pattern: &str| pushed(col("host").like(lit(pattern)));
        assert_eq!(start("web%"), Some(Pushed::Tag(TagPredicate::StartsWith("host".into(), "web".into()))));
        assert_eq!((start("web_%"), start("%web%"), start("web")), (None, None, None));
        let matches = |pattern: &str| {
            let (left, right) = (Box::new(col("host")), Box::new(lit(pattern)));
            pushed(Expr::BinaryExpr(BinaryExpr { left, op: Operator::RegexMatch, right }))
        };
        assert_eq!(matches("^a|b$"), Some(Pushed::Tag(TagPredicate::Matches("host".into(), "^a|b$".into()))));
        assert_eq!(matches("("), None);
        // A NULL in the list makes the condition unknown, which the store's predicates do not express.
        assert_eq!(pushed(col("host").in_list(vec![lit("a"), lit(ScalarValue::Utf8(None))], true)), None);
    }
}
