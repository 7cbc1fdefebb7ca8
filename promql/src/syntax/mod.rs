//! From a text to a tree: tokens, the tree with the place of each node, its types, and the tree as a text again.
//!
//! ```
//! use promql::syntax::{Limits, parse};
//!
//! let question = parse("sum by (job) (rate(http_requests_total[5m]))", &Limits::default()).unwrap();
//! assert_eq!(question.to_string(), "sum by (job) (rate(http_requests_total[5m]))");
//!
//! let error = parse("sum(up", &Limits::default()).unwrap_err();
//! assert_eq!(error.to_string(), "1:7: parse error: unclosed left parenthesis");
//! ```
//!
//! What lives here knows nothing of samples, of the store or of HTTP.

mod check;
mod duration;
mod error;
mod expr;
mod function;
mod lengths;
mod lexer;
mod matcher;
mod number;
mod parser;
mod pattern;
mod prepare;
mod pretty;
mod print;
mod quote;
mod selectors;
mod span;
mod token;

pub use duration::{parse_duration, show_duration};
pub use error::SyntaxError;
pub use expr::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Cardinality, Computed, Expr, Extension, Fill, Kind, Length,
    LengthOp, Limits, Matching, Matrix, Modifiers, Selector, Subquery, Type,
};
pub use function::{Function, Last, function, functions};
pub(crate) use matcher::is_plain;
pub use matcher::{MatchOp, Matcher};
pub use parser::{parse, parse_selector};
pub use pattern::Pattern;
pub(crate) use prepare::prepared;
pub use pretty::pretty;
pub(crate) use quote::{is_byte, quote};
pub use span::Span;
