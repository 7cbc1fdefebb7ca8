//! Texts of alerts, as Prometheus' rule files have them: the templates of Go, as far as such files use them, with the
//! functions of Prometheus.
//!
//! ```
//! use alerts::template::{Given, NoQuestions, Template};
//! use promql::base::labels::Labels;
//!
//! let template = Template::parse("{{ $labels.instance }} is {{ $value | humanizePercentage }} full").unwrap();
//! let labels = Labels::new([("instance", "db1")]);
//! let given = Given { labels: &labels, value: 0.5.into(), ..Given::default() };
//! assert_eq!(template.fill(&given, &NoQuestions).unwrap(), "db1 is 50% full");
//!
//! let error = Template::parse("{{ humanise $value }}").unwrap_err();
//! assert_eq!(error.to_string(), "line 1: there is no function \"humanise\"");
//! ```
//!
//! A template is parsed once, and knows then which functions it calls. What it gives is text: whoever puts it into HTML,
//! JSON or a header has to escape it there.

mod format;
mod functions;
mod humanize;
mod lexer;
mod parser;
mod run;
mod tree;
mod value;

pub use functions::NAMES;
pub use run::{Ask, Given, NoQuestions};
pub use tree::{Template, TemplateError};
pub use value::Value;
