//! The tree as a text that is read as the same tree again.

use std::fmt::{self, Display, Formatter};

use super::duration::show_duration;
use super::expr::{
    Aggregate, At, Binary, BinaryOp, Cardinality, Computed, Expr, Extension, Kind, Length, LengthOp, Matching,
    Modifiers, Selector, Subquery,
};
use super::matcher::{Matcher, NAME, is_plain};
use super::number::show_number;
use super::quote::quote;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Number { value, is_duration } => f.write_str(&number(*value, *is_duration)),
            Kind::Text(text) => f.write_str(&quote(text)),
            Kind::Vector(selector) => {
                write!(f, "{}{}", Bare(selector), show_at(&selector.modifiers))?;
                write!(f, "{}{}", show_extension(selector), show_offset(&selector.modifiers))
            }
            Kind::Matrix(matrix) => {
                let selector = &matrix.selector;
                write!(f, "{}[{}]{}", Bare(selector), matrix.range, show_extension(selector))?;
                write!(f, "{}{}", show_at(&selector.modifiers), show_offset(&selector.modifiers))
            }
            Kind::Subquery(subquery) => {
                write!(f, "{}{}", subquery.of, suffix(subquery))
            }
            Kind::Aggregate(aggregate) => aggregate.fmt(f),
            Kind::Call(call) => write!(f, "{}({})", call.function.name, List(&call.arguments)),
            Kind::Paren(of) => write!(f, "({of})"),
            Kind::Unary { is_negative, of } => write!(f, "{}{of}", if *is_negative { "-" } else { "+" }),
            Kind::Binary(binary) => binary.fmt(f),
        }
    }
}

/// With commas between.
struct List<'a, T>(&'a [T]);

impl<T: Display> Display for List<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

fn labels(labels: &[String]) -> String {
    let shown: Vec<_> = labels.iter().map(|label| if is_plain(label) { label.clone() } else { quote(label) }).collect();
    List(&shown).to_string()
}

fn number(value: f64, is_duration: bool) -> String {
    if is_duration { show_duration((value * 1e9).round() as i64) } else { show_number(value) }
}

/// What stands behind the question of a subquery.
pub(crate) fn suffix(subquery: &Subquery) -> String {
    let step = subquery.step.as_ref().map(ToString::to_string).unwrap_or_default();
    let (at, offset) = (show_at(&subquery.modifiers), show_offset(&subquery.modifiers));
    format!("[{}:{step}]{at}{offset}", subquery.range)
}

/// What stands before the parentheses of an aggregation.
pub(crate) fn head(aggregate: &Aggregate) -> String {
    let (name, grouping) = (aggregate.op.name(), labels(&aggregate.grouping));
    match (aggregate.is_without, aggregate.grouping.is_empty()) {
        (true, _) => format!("{name} without ({grouping}) "),
        (false, false) => format!("{name} by ({grouping}) "),
        (false, true) => name.to_owned(),
    }
}

/// What stands between the two sides.
pub(crate) fn infix(binary: &Binary) -> String {
    let is_bool = if binary.is_bool { " bool" } else { "" };
    let matching = binary.matching.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{}{is_bool}{matching}", binary.op.name())
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&head(self))?;
        match &self.parameter {
            Some(parameter) => write!(f, "({parameter}, {})", self.of),
            None => write!(f, "({})", self.of),
        }
    }
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match unsigned_base(self) {
            Some(base) => write!(f, "{base} {} {}", infix(self), self.right),
            None => write!(f, "{} {} {}", self.left, infix(self), self.right),
        }
    }
}

/// Infinity as what is raised to a power, without its sign: `+Inf ^ 4` would be read as `+(Inf ^ 4)`.
pub(crate) fn unsigned_base(binary: &Binary) -> Option<&'static str> {
    match (binary.op, &binary.left.kind) {
        (BinaryOp::Pow, Kind::Number { value: f64::INFINITY, .. }) => Some("Inf"),
        _ => None,
    }
}

impl Display for Matching {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let group = match self.cardinality {
            Cardinality::ManyToOne => Some("left"),
            Cardinality::OneToMany => Some("right"),
            _ => None,
        };
        if self.is_on || !self.labels.is_empty() || group.is_some() {
            write!(f, " {} ({})", if self.is_on { "on" } else { "ignoring" }, labels(&self.labels))?;
        }
        if let Some(side) = group {
            write!(f, " group_{side} ({})", labels(&self.include))?;
        }
        match (self.fill.left, self.fill.right) {
            (Some(left), Some(right)) if left == right => write!(f, " fill ({})", show_number(left)),
            (left, right) => {
                for (side, value) in [("left", left), ("right", right)] {
                    if let Some(value) = value {
                        write!(f, " fill_{side} ({})", show_number(value))?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// A selector without what says when.
struct Bare<'a>(&'a Selector);

impl Display for Bare<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.0.name.as_deref().unwrap_or_default();
        f.write_str(name)?;
        let is_said = |matcher: &&Matcher| !name.is_empty() && **matcher == Matcher::equal(NAME, name);
        let mut shown: Vec<_> =
            self.0.matchers.iter().filter(|matcher| !is_said(matcher)).map(ToString::to_string).collect();
        shown.sort();
        match shown.is_empty() && !name.is_empty() {
            true => Ok(()),
            false => write!(f, "{{{}}}", shown.join(",")),
        }
    }
}

fn show_extension(selector: &Selector) -> &'static str {
    match selector.extension {
        Some(Extension::Anchored) => " anchored",
        Some(Extension::Smoothed) => " smoothed",
        None => "",
    }
}

fn show_at(modifiers: &Modifiers) -> String {
    match modifiers.at {
        Some(At::Time(ms)) => {
            let sign = if ms < 0 { "-" } else { "" };
            format!(" @ {sign}{}.{:03}", ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000)
        }
        Some(At::Start) => " @ start()".into(),
        Some(At::End) => " @ end()".into(),
        None => String::new(),
    }
}

fn show_offset(modifiers: &Modifiers) -> String {
    modifiers.offset.as_ref().map(|offset| format!(" offset {offset}")).unwrap_or_default()
}

impl Display for Length {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Length::Fixed(ns) => f.write_str(&show_duration(*ns)),
            Length::Computed(computed) => computed.fmt(f),
        }
    }
}

impl Display for Computed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sign = match self.op {
            LengthOp::Add => "+",
            LengthOp::Sub => "-",
            LengthOp::Mul => "*",
            LengthOp::Div => "/",
            LengthOp::Mod => "%",
            LengthOp::Pow => "^",
            _ => "",
        };
        let shown = match (self.op, self.of.as_slice()) {
            (LengthOp::Number(value, is_duration), _) => number(value, is_duration),
            (LengthOp::Step, _) => "step()".into(),
            (LengthOp::Range, _) => "range()".into(),
            (LengthOp::MaxOf, of) => format!("max_of({})", List(of)),
            (LengthOp::MinOf, of) => format!("min_of({})", List(of)),
            (LengthOp::Plus, [of]) => of.to_string(),
            (LengthOp::Minus, [of]) => format!("-{of}"),
            (_, [left, right]) => format!("{left} {sign} {right}"),
            _ => String::new(),
        };
        if self.is_wrapped { write!(f, "({shown})") } else { f.write_str(&shown) }
    }
}
