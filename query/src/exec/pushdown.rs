//! Filters that the store itself answers: time ranges, conditions on tags, and comparisons of fields with values.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, Like, Operator};
use tsdb::{Comparison, FieldPredicate, FieldType, Literal, ScanRequest, TIME_COLUMN, TagPredicate};

/// A filter that the store applies exactly.
#[derive(Debug, PartialEq)]
pub(crate) enum Pushed {
    /// Times from..=to.
    Time(i64, i64),
    Tag(TagPredicate),
    Field(FieldPredicate),
}

/// What a column is to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    Tag,
    Field(FieldType),
    /// The time, or a column that the store does not have.
    Other,
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
            Pushed::Field(predicate) => request.fields.push(predicate),
        }
    }
}

/// The filter as the store would apply it, or `None` if it cannot.
pub(crate) fn push(filter: &Expr, kind: &dyn Fn(&str) -> ColumnKind) -> Option<Pushed> {
    let tag = |expr: &Expr| column(expr, kind).filter(|(_, kind)| *kind == ColumnKind::Tag).map(|(name, _)| name);
    match filter {
        // The optimizer writes short lists as alternatives.
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => either(push(left, kind)?, push(right, kind)?),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            // A literal on the left is turned around.
            let (expr, op, value) = match (&**left, &**right) {
                (column, Expr::Literal(value, _)) => (column, *op, value),
                (Expr::Literal(value, _), column) => (column, op.swap()?, value),
                _ => return None,
            };
            match column(expr, kind)? {
                (name, _) if name == TIME_COLUMN => time(op, value),
                (name, ColumnKind::Tag) => compared_tag(name, op, text(value)?),
                (name, ColumnKind::Field(kind)) => {
                    let literal = literal(value, kind)?;
                    Some(Pushed::Field(FieldPredicate::Compares(name, comparison(op)?, literal)))
                }
                _ => None,
            }
        }
        Expr::InList(InList { expr, list, negated }) => {
            let values = || list.iter().map(|item| if let Expr::Literal(value, _) = item { Some(value) } else { None });
            match column(expr, kind)? {
                (name, ColumnKind::Tag) => {
                    let values = values().map(|value| text(value?)).collect::<Option<_>>()?;
                    let predicate = if *negated { TagPredicate::NotIn } else { TagPredicate::In };
                    Some(Pushed::Tag(predicate(name, values)))
                }
                (name, ColumnKind::Field(kind)) if !negated => {
                    let values = values().map(|value| literal(value?, kind)).collect::<Option<_>>()?;
                    Some(Pushed::Field(FieldPredicate::In(name, values)))
                }
                _ => None,
            }
        }
        Expr::Like(Like { negated, expr, pattern, escape_char: None | Some('\\'), case_insensitive: false }) => {
            let Expr::Literal(pattern, _) = &**pattern else { return None };
            let (tag, pattern) = (tag(expr)?, text(pattern)?);
            let start = pattern.strip_suffix('%').filter(|start| !start.contains(['%', '_', '\\']));
            Some(Pushed::Tag(match (start, negated) {
                (Some(start), false) => TagPredicate::StartsWith(tag, start.to_owned()),
                (_, false) => TagPredicate::Matches(tag, like_regex(&pattern)?),
                (_, true) => TagPredicate::NotMatches(tag, like_regex(&pattern)?),
            }))
        }
        Expr::IsNull(expr) => null(expr, kind, TagPredicate::IsNull, FieldPredicate::IsNull),
        Expr::IsNotNull(expr) => null(expr, kind, TagPredicate::IsNotNull, FieldPredicate::IsNotNull),
        Expr::Not(expr) => is(expr, kind, false),
        expr => is(expr, kind, true),
    }
}

/// A column's name, and what it is. A tag may be cast to the text that it is.
fn column(expr: &Expr, kind: &dyn Fn(&str) -> ColumnKind) -> Option<(String, ColumnKind)> {
    match expr {
        Expr::Column(column) => Some((column.name.clone(), kind(&column.name))),
        Expr::Cast(Cast { expr, field }) if *field.data_type() == DataType::Utf8 => match &**expr {
            Expr::Column(column) if kind(&column.name) == ColumnKind::Tag => {
                Some((column.name.clone(), ColumnKind::Tag))
            }
            _ => None,
        },
        _ => None,
    }
}

/// A pattern of LIKE as a regular expression: `%` is any text, `_` any character, and `\\` takes from these and from
/// itself what they mean.
fn like_regex(pattern: &str) -> Option<String> {
    let mut regex = String::from("(?s)^");
    let mut left = pattern.chars();
    while let Some(next) = left.next() {
        match next {
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '\\' => match left.next()? {
                plain @ ('%' | '_' | '\\') => regex.push_str(&regex::escape(plain.encode_utf8(&mut [0; 4]))),
                _ => return None,
            },
            plain => regex.push_str(&regex::escape(plain.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    // One that is too large for the store is left to DataFusion.
    regex::Regex::new(&regex).ok()?;
    Some(regex)
}

/// One or the other, if both say which values the same column has.
fn either(left: Pushed, right: Pushed) -> Option<Pushed> {
    let list = |pushed: Pushed| match pushed {
        Pushed::Field(FieldPredicate::Compares(field, Comparison::Eq, value)) => {
            Pushed::Field(FieldPredicate::In(field, vec![value]))
        }
        other => other,
    };
    match (list(left), list(right)) {
        (Pushed::Tag(TagPredicate::In(tag, values)), Pushed::Tag(TagPredicate::In(other, more))) if tag == other => {
            Some(Pushed::Tag(TagPredicate::In(tag, [values, more].concat())))
        }
        (Pushed::Field(FieldPredicate::In(field, values)), Pushed::Field(FieldPredicate::In(other, more)))
            if field == other =>
        {
            Some(Pushed::Field(FieldPredicate::In(field, [values, more].concat())))
        }
        _ => None,
    }
}

fn compared_tag(tag: String, op: Operator, value: String) -> Option<Pushed> {
    Some(Pushed::Tag(match op {
        Operator::Eq => TagPredicate::In(tag, vec![value]),
        Operator::NotEq => TagPredicate::NotIn(tag, vec![value]),
        // The store takes the same syntax; what it would refuse is left to DataFusion.
        Operator::RegexMatch | Operator::RegexNotMatch => {
            regex::Regex::new(&value).ok()?;
            let predicate = if op == Operator::RegexMatch { TagPredicate::Matches } else { TagPredicate::NotMatches };
            predicate(tag, value)
        }
        _ => return None,
    }))
}

fn null(
    expr: &Expr,
    kind: &dyn Fn(&str) -> ColumnKind,
    tag: fn(String) -> TagPredicate,
    field: fn(String) -> FieldPredicate,
) -> Option<Pushed> {
    match column(expr, kind)? {
        (name, ColumnKind::Tag) => Some(Pushed::Tag(tag(name))),
        (name, ColumnKind::Field(_)) => Some(Pushed::Field(field(name))),
        _ => None,
    }
}

/// A boolean field as the condition itself.
fn is(expr: &Expr, kind: &dyn Fn(&str) -> ColumnKind, value: bool) -> Option<Pushed> {
    let (name, kind) = column(expr, kind)?;
    let is_bool = kind == ColumnKind::Field(FieldType::Bool);
    is_bool.then_some(Pushed::Field(FieldPredicate::Compares(name, Comparison::Eq, Literal::Bool(value))))
}

fn comparison(op: Operator) -> Option<Comparison> {
    Some(match op {
        Operator::Eq => Comparison::Eq,
        Operator::NotEq => Comparison::NotEq,
        Operator::Lt => Comparison::Lt,
        Operator::LtEq => Comparison::LtEq,
        Operator::Gt => Comparison::Gt,
        Operator::GtEq => Comparison::GtEq,
        _ => return None,
    })
}

/// A value of the field's own type.
fn literal(value: &ScalarValue, kind: FieldType) -> Option<Literal> {
    match (kind, value) {
        (FieldType::F64, ScalarValue::Float64(value)) => value.map(Literal::F64),
        (FieldType::I64, ScalarValue::Int64(value)) => value.map(Literal::I64),
        (FieldType::U64, ScalarValue::UInt64(value)) => value.map(Literal::U64),
        (FieldType::Bool, ScalarValue::Boolean(value)) => value.map(Literal::Bool),
        (FieldType::Str, value) => text(value).map(Literal::Str),
        _ => None,
    }
}

/// The times that a comparison with the time wants, the first and the last.
pub(crate) fn interval(op: Comparison, at: i64) -> Option<(i64, i64)> {
    // After the last instant and before the first there is nothing.
    let nothing = (i64::MAX, i64::MIN);
    Some(match op {
        Comparison::Eq => (at, at),
        Comparison::GtEq => (at, i64::MAX),
        Comparison::Gt => at.checked_add(1).map_or(nothing, |from| (from, i64::MAX)),
        Comparison::LtEq => (i64::MIN, at),
        Comparison::Lt => at.checked_sub(1).map_or(nothing, |to| (i64::MIN, to)),
        Comparison::NotEq => return None,
    })
}

pub(crate) fn time(op: Operator, value: &ScalarValue) -> Option<Pushed> {
    let ScalarValue::TimestampNanosecond(Some(at), _) = value else { return None };
    let (from, to) = interval(comparison(op)?, *at)?;
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
        let kind = |name: &str| match name {
            "host" => ColumnKind::Tag,
            "note" => ColumnKind::Field(FieldType::Str),
            "load" => ColumnKind::Field(FieldType::F64),
            "up" => ColumnKind::Field(FieldType::Bool),
            _ => ColumnKind::Other,
        };
        push(&filter, &kind)
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
    fn conditions_on_tags_are_pushed() {
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
        assert_eq!(pushed(col("host").gt(lit("a"))), None);
        let start = |pattern: &str| pushed(col("host").like(lit(pattern)));
        assert_eq!(start("web%"), Some(Pushed::Tag(TagPredicate::StartsWith("host".into(), "web".into()))));
        let like = |regex: &str| Some(Pushed::Tag(TagPredicate::Matches("host".into(), regex.into())));
        assert_eq!(start("web_%"), like("(?s)^web..*$"));
        assert_eq!(start("%w.b"), like("(?s)^.*w\\.b$"));
        assert_eq!(start("a\\%b"), like("(?s)^a%b$"));
        assert_eq!((start("a\\b"), start("a\\")), (None, None));
        let not = pushed(col("host").not_like(lit("web%")));
        assert_eq!(not, Some(Pushed::Tag(TagPredicate::NotMatches("host".into(), "(?s)^web.*$".into()))));
        let matches = |pattern: &str| {
            let (left, right) = (Box::new(col("host")), Box::new(lit(pattern)));
            pushed(Expr::BinaryExpr(BinaryExpr { left, op: Operator::RegexMatch, right }))
        };
        assert_eq!(matches("^a|b$"), Some(Pushed::Tag(TagPredicate::Matches("host".into(), "^a|b$".into()))));
        assert_eq!(matches("("), None);
        // A NULL in the list makes the condition unknown, which the store's predicates do not express.
        assert_eq!(pushed(col("host").in_list(vec![lit("a"), lit(ScalarValue::Utf8(None))], true)), None);
    }

    #[test]
    fn comparisons_of_fields_are_pushed() {
        let compares = |field: &str, comparison, literal| {
            Some(Pushed::Field(FieldPredicate::Compares(field.into(), comparison, literal)))
        };
        assert_eq!(pushed(col("load").gt(lit(0.5))), compares("load", Comparison::Gt, Literal::F64(0.5)));
        assert_eq!(pushed(lit(0.5).gt(col("load"))), compares("load", Comparison::Lt, Literal::F64(0.5)));
        assert_eq!(pushed(col("up")), compares("up", Comparison::Eq, Literal::Bool(true)));
        assert_eq!(pushed(!col("up")), compares("up", Comparison::Eq, Literal::Bool(false)));
        let list = FieldPredicate::In("note".into(), ["a", "b"].map(|text| Literal::Str(text.into())).into());
        assert_eq!(pushed(col("note").eq(lit("a")).or(col("note").eq(lit("b")))), Some(Pushed::Field(list)));
        assert_eq!(pushed(col("load").is_null()), Some(Pushed::Field(FieldPredicate::IsNull("load".into()))));
        // Of another type, with nothing, between two columns, of a column that is not there.
        assert_eq!(pushed(col("load").gt(lit(1i64))), None);
        assert_eq!(pushed(col("load").gt(lit(ScalarValue::Float64(None)))), None);
        assert_eq!(pushed(col("load").gt(col("load"))), None);
        assert_eq!(pushed(col("load")), None);
        assert_eq!(pushed(col("gone").eq(lit(1.0))), None);
    }
}
