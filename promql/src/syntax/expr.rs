//! The tree of a question.

use super::function::Function;
use super::matcher::Matcher;
use super::span::Span;

/// How large a question may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Levels of its tree (`query.depth_max`).
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { depth_max: 1000 }
    }
}

/// A node of the tree, with what is below it.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
    /// Levels from here down, itself included.
    pub(crate) depth: usize,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A number, or a duration in seconds.
    Number {
        /// What it is.
        value: f64,
        /// Is it written as a duration?
        is_duration: bool,
    },
    /// A text.
    Text(String),
    /// The newest samples of series.
    Vector(Box<Selector>),
    /// All samples of series within a time.
    Matrix(Box<Matrix>),
    /// An instant question asked again and again.
    Subquery(Box<Subquery>),
    /// Samples of several series as one, or some of them.
    Aggregate(Box<Aggregate>),
    /// A function.
    Call(Call),
    /// What stands in parentheses.
    Paren(Box<Expr>),
    /// A sign.
    Unary {
        /// Minus?
        is_negative: bool,
        /// Of what.
        of: Box<Expr>,
    },
    /// Two sides and what is done with them.
    Binary(Box<Binary>),
}

/// What a node gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A number.
    Scalar,
    /// A text.
    Text,
    /// A sample a series.
    Vector,
    /// Samples of series within a time.
    Matrix,
}

impl Type {
    /// As errors call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Type::Scalar => "scalar",
            Type::Text => "string",
            Type::Vector => "instant vector",
            Type::Matrix => "range vector",
        }
    }
}

impl Expr {
    /// What it gives, if it is well-formed.
    #[must_use]
    pub fn gives(&self) -> Type {
        match &self.kind {
            Kind::Number { .. } => Type::Scalar,
            Kind::Text(_) => Type::Text,
            Kind::Vector(_) | Kind::Aggregate(_) => Type::Vector,
            Kind::Matrix(_) | Kind::Subquery(_) => Type::Matrix,
            Kind::Call(call) => call.function.gives,
            Kind::Paren(of) | Kind::Unary { of, .. } => of.gives(),
            Kind::Binary(binary) if binary.left.gives() == Type::Scalar && binary.right.gives() == Type::Scalar => {
                Type::Scalar
            }
            Kind::Binary(_) => Type::Vector,
        }
    }

    /// What stands in its parentheses, if it is nothing but these.
    pub(crate) fn unwrapped(&self) -> &Expr {
        let mut expr = self;
        while let Kind::Paren(of) = &expr.kind {
            expr = of;
        }
        expr
    }

    /// What stands right below it, from left to right.
    pub fn children(&self) -> impl Iterator<Item = &Expr> {
        let (one, two, more): (Option<&Expr>, Option<&Expr>, &[Expr]) = match &self.kind {
            Kind::Number { .. } | Kind::Text(_) | Kind::Vector(_) | Kind::Matrix(_) => (None, None, &[]),
            Kind::Subquery(subquery) => (Some(&subquery.of), None, &[]),
            Kind::Aggregate(aggregate) => (aggregate.parameter.as_ref(), Some(&aggregate.of), &[]),
            Kind::Call(call) => (None, None, &call.arguments),
            Kind::Paren(of) | Kind::Unary { of, .. } => (Some(of), None, &[]),
            Kind::Binary(binary) => (Some(&binary.left), Some(&binary.right), &[]),
        };
        one.into_iter().chain(two).chain(more)
    }
}

/// Which series, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    /// What stands before the braces.
    pub name: Option<String>,
    /// What their labels have to be; the name is the last of them.
    pub matchers: Vec<Matcher>,
    /// When.
    pub modifiers: Modifiers,
    /// What is done at the ends of a window.
    pub extension: Option<Extension>,
    /// Nothing but counts and sums of its histograms are asked for: whether they were reset is told by their hints, as long as
    /// their buckets are known.
    pub(crate) is_counted: bool,
    /// Where it stands, without a range.
    pub span: Span,
}

/// What happens at the ends of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// The newest sample before the start stands at the start.
    Anchored,
    /// Values at both ends lie on a line between the samples around them.
    Smoothed,
}

/// When a selector or a subquery looks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Modifiers {
    /// At one time, whatever is asked.
    pub at: Option<At>,
    /// So long before.
    pub offset: Option<Length>,
}

impl Modifiers {
    /// So long before, in milliseconds; once lengths are computed.
    pub(crate) fn offset_ms(&self) -> i64 {
        self.offset.as_ref().map_or(0, Length::ms)
    }
}

/// A time that does not go along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since the epoch.
    Time(i64),
    /// The start of what is asked.
    Start,
    /// Its end.
    End,
}

/// A length of time.
#[derive(Debug, Clone, PartialEq)]
pub enum Length {
    /// Nanoseconds.
    Fixed(i64),
    /// What is known when the step and the span of the question are.
    Computed(Computed),
}

impl Length {
    /// Milliseconds, once it is computed.
    pub(crate) fn ms(&self) -> i64 {
        match self {
            Length::Fixed(ns) => ns / 1_000_000,
            Length::Computed(_) => 0,
        }
    }
}

impl Default for Length {
    fn default() -> Length {
        Length::Fixed(0)
    }
}

/// An expression of durations.
#[derive(Debug, Clone, PartialEq)]
pub struct Computed {
    /// What is done.
    pub op: LengthOp,
    /// With what; signs have one of them.
    pub of: Vec<Computed>,
    /// Does it stand in parentheses?
    pub is_wrapped: bool,
    /// Where it stands.
    pub span: Span,
}

/// What is done with durations, which are seconds here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LengthOp {
    /// A number of seconds; the flag says that it is written as a duration.
    Number(f64, bool),
    /// `step()`: the step of the question, 0 of an instant one.
    Step,
    /// `range()`: from its start to its end.
    Range,
    /// The larger one.
    MaxOf,
    /// The smaller one.
    MinOf,
    /// Itself.
    Plus,
    /// Its negative.
    Minus,
    /// The sum.
    Add,
    /// The difference.
    Sub,
    /// The product.
    Mul,
    /// The quotient.
    Div,
    /// What is left of a division.
    Mod,
    /// The power.
    Pow,
}

/// A selector with a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Of which series; its modifiers are those behind the range.
    pub selector: Selector,
    /// How far back.
    pub range: Length,
}

/// An instant question that is asked again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// The question.
    pub of: Expr,
    /// How far back.
    pub range: Length,
    /// How often. Default: the interval of evaluation.
    pub step: Option<Length>,
    /// When.
    pub modifiers: Modifiers,
}

/// An aggregation over series.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// What is done.
    pub op: AggregateOp,
    /// Over what.
    pub of: Expr,
    /// How many, which quantile, the label of counted values.
    pub parameter: Option<Expr>,
    /// Labels that stay, or go if `is_without`.
    pub grouping: Vec<String>,
    /// `without`, not `by`.
    pub is_without: bool,
}

/// Aggregations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "their names are those of PromQL")]
pub enum AggregateOp {
    Avg,
    Bottomk,
    Count,
    CountValues,
    Group,
    LimitRatio,
    Limitk,
    Max,
    Min,
    Quantile,
    Stddev,
    Stdvar,
    Sum,
    Topk,
}

impl AggregateOp {
    /// All of them.
    pub const ALL: [AggregateOp; 14] = [
        AggregateOp::Avg,
        AggregateOp::Bottomk,
        AggregateOp::Count,
        AggregateOp::CountValues,
        AggregateOp::Group,
        AggregateOp::LimitRatio,
        AggregateOp::Limitk,
        AggregateOp::Max,
        AggregateOp::Min,
        AggregateOp::Quantile,
        AggregateOp::Stddev,
        AggregateOp::Stdvar,
        AggregateOp::Sum,
        AggregateOp::Topk,
    ];

    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            AggregateOp::Avg => "avg",
            AggregateOp::Bottomk => "bottomk",
            AggregateOp::Count => "count",
            AggregateOp::CountValues => "count_values",
            AggregateOp::Group => "group",
            AggregateOp::LimitRatio => "limit_ratio",
            AggregateOp::Limitk => "limitk",
            AggregateOp::Max => "max",
            AggregateOp::Min => "min",
            AggregateOp::Quantile => "quantile",
            AggregateOp::Stddev => "stddev",
            AggregateOp::Stdvar => "stdvar",
            AggregateOp::Sum => "sum",
            AggregateOp::Topk => "topk",
        }
    }

    /// What its parameter has to be, if it has one.
    #[must_use]
    pub fn parameter(self) -> Option<Type> {
        match self {
            AggregateOp::CountValues => Some(Type::Text),
            AggregateOp::Bottomk
            | AggregateOp::LimitRatio
            | AggregateOp::Limitk
            | AggregateOp::Quantile
            | AggregateOp::Topk => Some(Type::Scalar),
            _ => None,
        }
    }
}

/// A function and its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Which.
    pub function: &'static Function,
    /// Of what.
    pub arguments: Vec<Expr>,
}

/// Two sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// What is done.
    pub op: BinaryOp,
    /// The left side.
    pub left: Expr,
    /// The right side.
    pub right: Expr,
    /// A comparison gives 0 and 1, and drops nothing.
    pub is_bool: bool,
    /// Which samples belong together, where both sides are vectors.
    pub matching: Option<Matching>,
}

/// What is done with two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "their names are those of PromQL")]
pub enum BinaryOp {
    Or,
    And,
    Unless,
    Eq,
    Ne,
    Le,
    Lt,
    Ge,
    Gt,
    TrimUpper,
    TrimLower,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Atan2,
    Pow,
}

impl BinaryOp {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::Unless => "unless",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Le => "<=",
            BinaryOp::Lt => "<",
            BinaryOp::Ge => ">=",
            BinaryOp::Gt => ">",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Pow => "^",
        }
    }

    /// How tightly it binds. All but `^` group from the left.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And | BinaryOp::Unless => 2,
            BinaryOp::Add | BinaryOp::Sub => 4,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => 5,
            BinaryOp::Pow => 6,
            _ => 3,
        }
    }

    /// `==` and its kin.
    #[must_use]
    pub fn is_comparison(self) -> bool {
        use BinaryOp::{Eq, Ge, Gt, Le, Lt, Ne};
        matches!(self, Eq | Ne | Le | Lt | Ge | Gt)
    }

    /// `and`, `or`, `unless`.
    #[must_use]
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::Or | BinaryOp::And | BinaryOp::Unless)
    }
}

/// Which samples of two vectors belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Matching {
    /// How many of each side.
    pub cardinality: Cardinality,
    /// Labels that have to be equal, or need not be if not `is_on`.
    pub labels: Vec<String>,
    /// `on`, not `ignoring`.
    pub is_on: bool,
    /// Labels that the side with many takes from the other one.
    pub include: Vec<String>,
    /// What stands for samples that are missing.
    pub fill: Fill,
}

/// How many samples of each side belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cardinality {
    /// One of each.
    OneToOne,
    /// Many of the left.
    ManyToOne,
    /// Many of the right.
    OneToMany,
    /// Sets.
    ManyToMany,
}

/// What stands for samples that one side does not have.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fill {
    /// On the left.
    pub left: Option<f64>,
    /// On the right.
    pub right: Option<f64>,
}
