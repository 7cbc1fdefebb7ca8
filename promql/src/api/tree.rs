//! Questions as Prometheus' page shows them: formatted, and as a tree.

use serde_json::{Value, json};

use super::asked::Asked;
use super::error::ApiError;
use super::json::{quoted, success};
use crate::syntax::{
    At, Cardinality, Computed, Expr, Kind, Last, Length, LengthOp, MatchOp, Matcher, Matching, Modifiers, Selector,
    Type, parse, pretty,
};
use statistics::float::show;

impl Asked<'_> {
    fn parsed(&self) -> Result<Expr, ApiError> {
        let text = self.parameters.get("query").unwrap_or_default();
        parse(text, self.limits).map_err(|error| ApiError::parameter("query", error))
    }
}

/// `format_query`
///
/// # Errors
///
/// The question is wrong.
pub fn format_query(asked: &Asked<'_>) -> Result<String, ApiError> {
    Ok(success(&quoted(&pretty(&asked.parsed()?)), &[], &[]))
}

/// `parse_query`
///
/// # Errors
///
/// The question is wrong.
pub fn parse_query(asked: &Asked<'_>) -> Result<String, ApiError> {
    Ok(success(&tree(&asked.parsed()?).to_string(), &[], &[]))
}

/// A node with what is below it. Questions are no deeper than `query.depth_max`, and each level has a stack of its own.
fn tree(expr: &Expr) -> Value {
    stacker::maybe_grow(128 << 10, 1 << 20, || match &expr.kind {
        Kind::Number { value, .. } => json!({ "type": "numberLiteral", "val": show(*value) }),
        Kind::Text(text) => json!({ "type": "stringLiteral", "val": text }),
        Kind::Paren(of) => json!({ "type": "parenExpr", "expr": tree(of) }),
        Kind::Unary { is_negative, of } => {
            json!({ "type": "unaryExpr", "op": if *is_negative { "-" } else { "+" }, "expr": tree(of) })
        }
        Kind::Aggregate(own) => json!({
            "type": "aggregation", "op": own.op.name(), "expr": tree(&own.of), "param": own.parameter.as_ref().map(tree),
            "grouping": own.grouping, "without": own.is_without,
        }),
        Kind::Binary(own) => json!({
            "type": "binaryExpr", "op": own.op.name(), "lhs": tree(&own.left), "rhs": tree(&own.right),
            "matching": own.matching.as_ref().map(matching), "bool": own.is_bool,
        }),
        Kind::Call(own) => {
            let variadic = match own.function.last {
                Last::Once => 0,
                Last::UpTo(count) => count as i64,
                Last::Any => -1,
            };
            let types: Vec<&str> = own.function.takes.iter().map(|own| type_name(*own)).collect();
            json!({
                "type": "call", "args": own.arguments.iter().map(tree).collect::<Vec<_>>(),
                "func": {
                    "name": own.function.name, "argTypes": types, "variadic": variadic,
                    "returnType": type_name(own.function.gives),
                },
            })
        }
        Kind::Vector(own) => selector("vectorSelector", own),
        Kind::Matrix(own) => {
            let mut node = selector("matrixSelector", &own.selector);
            node["range"] = json!(ms(&own.range));
            node["rangeExpr"] = computed(Some(&own.range));
            node
        }
        Kind::Subquery(own) => {
            let mut node = json!({
                "type": "subquery", "expr": tree(&own.of), "range": ms(&own.range), "rangeExpr": computed(Some(&own.range)),
                "step": own.step.as_ref().map_or(0, ms), "stepExpr": computed(own.step.as_ref()),
            });
            when(&own.modifiers, &mut node);
            node
        }
    })
}

fn type_name(own: Type) -> &'static str {
    match own {
        Type::Scalar => "scalar",
        Type::Text => "string",
        Type::Vector => "vector",
        Type::Matrix => "matrix",
    }
}

fn matching(own: &Matching) -> Value {
    let cardinality = match own.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({
        "card": cardinality, "labels": own.labels, "on": own.is_on, "include": own.include,
        "fillValues": { "lhs": own.fill.left, "rhs": own.fill.right },
    })
}

fn selector(kind: &str, own: &Selector) -> Value {
    let matchers: Vec<Value> = own.matchers.iter().map(matcher).collect();
    let extension = own.extension.map(|extension| extension == crate::syntax::Extension::Anchored);
    let mut node = json!({
        "type": kind, "name": own.name.as_deref().unwrap_or_default(), "matchers": matchers,
        "anchored": extension == Some(true), "smoothed": extension == Some(false),
    });
    when(&own.modifiers, &mut node);
    node
}

fn matcher(own: &Matcher) -> Value {
    let sign = match own.op {
        MatchOp::Equal(_) => "=",
        MatchOp::NotEqual(_) => "!=",
        MatchOp::Matches(_) => "=~",
        MatchOp::MatchesNot(_) => "!~",
    };
    json!({ "name": own.label, "value": own.text(), "type": sign })
}

fn when(own: &Modifiers, node: &mut Value) {
    node["offset"] = json!(own.offset.as_ref().map_or(0, ms));
    node["offsetExpr"] = computed(own.offset.as_ref());
    let (time, edge) = match own.at {
        Some(At::Time(ms)) => (Some(ms), None),
        Some(At::Start) => (None, Some("start")),
        Some(At::End) => (None, Some("end")),
        None => (None, None),
    };
    node["timestamp"] = json!(time);
    node["startOrEnd"] = json!(edge);
}

fn ms(length: &Length) -> i64 {
    length.ms()
}

/// A length that is computed, as a tree; nothing where it is fixed.
fn computed(length: Option<&Length>) -> Value {
    match length {
        Some(Length::Computed(own)) => of_computed(own),
        _ => Value::Null,
    }
}

fn of_computed(own: &Computed) -> Value {
    let op = match own.op {
        LengthOp::Number(value, is_duration) => {
            return json!({ "type": "numberLiteral", "val": show(value), "duration": is_duration });
        }
        LengthOp::Step => "step",
        LengthOp::Range => "range",
        LengthOp::MaxOf => "max_of",
        LengthOp::MinOf => "min_of",
        LengthOp::Plus | LengthOp::Add => "+",
        LengthOp::Minus | LengthOp::Sub => "-",
        LengthOp::Mul => "*",
        LengthOp::Div => "/",
        LengthOp::Mod => "%",
        LengthOp::Pow => "^",
    };
    let side = |at: usize| own.of.get(at).map(of_computed);
    let (left, right) = if own.of.len() == 1 { (None, side(0)) } else { (side(0), side(1)) };
    json!({ "type": "durationExpr", "op": op, "lhs": left, "rhs": right, "wrapped": own.is_wrapped })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Limits;

    #[test]
    fn a_tree_has_what_the_page_of_prometheus_reads() {
        let text = "sum by (a) (rate(m{b!=\"c\"}[5m] offset 1m)) > bool on (a) group_left (x) -n @ end()";
        let tree = tree(&parse(text, &Limits::default()).unwrap());
        assert_eq!((&tree["type"], &tree["op"], &tree["bool"]), (&json!("binaryExpr"), &json!(">"), &json!(true)));
        assert_eq!(tree["matching"]["card"], "many-to-one");
        assert_eq!(tree["matching"]["fillValues"], json!({ "lhs": null, "rhs": null }));
        let rate = &tree["lhs"]["expr"];
        assert_eq!((&rate["func"]["argTypes"], &rate["func"]["returnType"]), (&json!(["matrix"]), &json!("vector")));
        let matrix = &rate["args"][0];
        assert_eq!(
            (&matrix["range"], &matrix["offset"], &matrix["rangeExpr"]),
            (&json!(300_000), &json!(60_000), &Value::Null)
        );
        let expected =
            json!([{ "name": "b", "value": "c", "type": "!=" }, { "name": "__name__", "value": "m", "type": "=" }]);
        assert_eq!(matrix["matchers"], expected);
        assert_eq!(tree["rhs"]["expr"]["startOrEnd"], "end");
    }
}
