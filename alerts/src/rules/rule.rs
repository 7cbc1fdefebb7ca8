//! What rules are.

use std::path::PathBuf;
use std::sync::Arc;

use promql::syntax::Expr;

use super::level::Levels;
use super::ready::Ready;
use crate::template::{Template, TemplateError};

/// A file with groups of rules.
#[derive(Debug, Clone)]
pub struct RuleFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its groups, in their order.
    pub groups: Vec<Group>,
}

/// Rules that are evaluated together, one after the other.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name, of which a file has one.
    pub name: String,
    /// In which file it stands.
    pub file: Arc<str>,
    /// From one evaluation to the next, in milliseconds; without one the server says it.
    pub interval_ms: Option<i64>,
    /// So long before its own time an evaluation asks; for samples that come late.
    pub offset_ms: i64,
    /// So many alerts or series a rule makes at the most; 0 is no limit.
    pub limit: usize,
    /// The rules, in their order.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The metric that it records, or the name of its alerts.
    pub name: String,
    /// In which line of its file it begins.
    pub line: usize,
    /// What it asks.
    pub asks: Asks,
    /// The same as a text, as Prometheus would print it.
    pub query: String,
    /// Labels that it adds. Of an alert they are templates.
    pub labels: Vec<Text>,
    /// What it makes of what it finds.
    pub kind: Kind,
}

/// What a rule asks.
#[derive(Debug, Clone)]
pub enum Asks {
    /// A question in PromQL.
    Expr(Arc<Expr>),
    /// A statement in SQL: its column `value`, by its columns of texts.
    Sql(Arc<str>),
    /// What needs no file.
    Ready(Ready),
}

/// A label or an annotation.
#[derive(Debug, Clone)]
pub struct Text {
    /// Its name.
    pub name: String,
    /// What its value is made by.
    pub template: Template,
    /// That, as it stands in the file.
    pub source: String,
}

impl Text {
    /// Its name, and how its value stands in the file.
    #[must_use]
    pub fn pair(&self) -> (&str, &str) {
        (&self.name, &self.source)
    }

    /// Parses a label or an annotation.
    ///
    /// # Errors
    ///
    /// It is no template.
    pub fn parse(name: &str, source: &str) -> Result<Text, TemplateError> {
        Ok(Text { name: name.into(), template: Template::parse(source)?, source: source.into() })
    }
}

/// What a rule makes.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Samples of a metric.
    Record,
    /// Alerts.
    Alert {
        /// So long it has to be found before it fires, in milliseconds.
        for_ms: i64,
        /// So long it fires after it was found the last time.
        keep_firing_for_ms: i64,
        /// Texts beside its labels.
        annotations: Vec<Text>,
    },
    /// Alerts by bounds of values.
    Levels(Levels),
}

impl Kind {
    /// Does it make alerts?
    #[must_use]
    pub fn is_alert(&self) -> bool {
        !matches!(self, Kind::Record)
    }

    /// Texts of its alerts.
    #[must_use]
    pub fn annotations(&self) -> &[Text] {
        match self {
            Kind::Record => &[],
            Kind::Alert { annotations, .. } | Kind::Levels(Levels { annotations, .. }) => annotations,
        }
    }
}

impl Group {
    /// What tells it from all other groups: a name may stand in several files.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{};{}", self.file, self.name)
    }

    /// Does another one say the same?
    #[must_use]
    pub fn is_same(&self, other: &Group) -> bool {
        let of = |own: &Group| (own.name.clone(), own.file.clone(), own.interval_ms, own.offset_ms, own.limit);
        let rules = self.rules.iter().zip(&other.rules);
        of(self) == of(other) && self.rules.len() == other.rules.len() && { rules }
            .all(|(one, other)| one.is_same(other))
    }
}

impl Rule {
    fn is_same(&self, other: &Rule) -> bool {
        fn texts(own: &[Text]) -> impl Iterator<Item = (&str, &str)> {
            own.iter().map(Text::pair)
        }
        let is_same_kind = match (&self.kind, &other.kind) {
            (Kind::Record, Kind::Record) => true,
            (
                Kind::Alert { for_ms, keep_firing_for_ms, .. },
                Kind::Alert { for_ms: other_for, keep_firing_for_ms: other_keep, .. },
            ) => for_ms == other_for && keep_firing_for_ms == other_keep,
            (Kind::Levels(own), Kind::Levels(other)) => own.is_same(other),
            _ => false,
        };
        is_same_kind
            && texts(self.kind.annotations()).eq(texts(other.kind.annotations()))
            && self.name == other.name
            && self.query == other.query
            && texts(&self.labels).eq(texts(&other.labels))
    }
}

/// How grave an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// 预警, blue.
    Warning,
    /// 告警, red.
    Critical,
}

impl Severity {
    /// What the label `severity` of a rule file says.
    ///
    /// ```
    /// use alerts::rules::Severity;
    ///
    /// let grave = ["critical", "page", "Error", "emergency", "disaster"].map(Severity::of_label);
    /// assert!(grave.iter().all(|own| *own == Severity::Critical));
    /// assert_eq!(["warning", "info", ""].map(Severity::of_label), [Severity::Warning; 3]);
    /// ```
    #[must_use]
    pub fn of_label(label: &str) -> Severity {
        const CRITICAL: [&str; 5] = ["critical", "page", "error", "emergency", "disaster"];
        match CRITICAL.iter().any(|own| label.eq_ignore_ascii_case(own)) {
            true => Severity::Critical,
            false => Severity::Warning,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}
