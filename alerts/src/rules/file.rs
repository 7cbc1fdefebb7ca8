//! The YAML of a rule file, as it stands.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use promql::syntax::{Limits, parse, parse_duration};
use serde::Deserialize;
use serde_saphyr::{Options, Spanned};

use super::check::Problem;
use super::rule::{Asks, Group, Kind, Rule, RuleFile, Text};
use crate::template::Template;

/// A file has so many bytes at the most.
const BYTES_MAX: usize = 16 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    #[serde(default)]
    groups: Option<Vec<GroupText>>,
}

type Texts = BTreeMap<String, Spanned<String>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupText {
    name: Spanned<String>,
    interval: Option<Spanned<String>>,
    query_offset: Option<Spanned<String>>,
    #[serde(default)]
    limit: i64,
    #[serde(default)]
    labels: Option<Texts>,
    #[serde(default)]
    rules: Option<Vec<Spanned<RuleText>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    #[serde(default)]
    record: Option<Spanned<String>>,
    #[serde(default)]
    alert: Option<Spanned<String>>,
    #[serde(default)]
    expr: Option<Spanned<String>>,
    #[serde(default, rename = "for")]
    hold: Option<Spanned<String>>,
    #[serde(default)]
    keep_firing_for: Option<Spanned<String>>,
    #[serde(default)]
    labels: Option<Texts>,
    #[serde(default)]
    annotations: Option<Texts>,
}

/// How YAML is read here and in test files: what is no text stays one where a text is expected (`severity: 1`).
pub(crate) fn options() -> Options {
    serde_saphyr::options! { with_snippet: false, null_as_string: true }
}

/// Reads a rule file's text.
///
/// ```
/// use std::path::Path;
///
/// let text = "groups:\n- name: g\n  rules:\n  - alert: Down\n    expr: up ==\n";
/// let problems = alerts::rules::read(Path::new("rules.yml"), text, &Default::default()).unwrap_err();
/// let first = problems[0].to_string();
/// assert!(first.starts_with("rules.yml:5: group \"g\", rule 1, \"Down\": could not parse expression: 1:6: "), "{first}");
/// ```
///
/// # Errors
///
/// All that is wrong with it, each by its line.
pub fn read(path: &Path, text: &str, limits: &Limits) -> Result<RuleFile, Vec<Problem>> {
    let file: Arc<str> = path.to_string_lossy().into();
    let whole = |line, message| vec![Problem { file: file.clone(), line, message }];
    if text.len() > BYTES_MAX {
        return Err(whole(1, format!("a rule file has no more than {} MiB", BYTES_MAX >> 20)));
    }
    let read: FileText = match text.trim().is_empty() {
        true => FileText { groups: None },
        false => serde_saphyr::from_str_with_options(text, options())
            .map_err(|error| vec![Problem { file: file.clone(), ..of_yaml(&error) }])?,
    };
    let mut reading = Reading { file: file.clone(), limits, problems: Vec::new() };
    let mut groups: Vec<Group> = Vec::new();
    for own in read.groups.unwrap_or_default() {
        let line = line_of(&own.name);
        if own.name.value.is_empty() {
            reading.wrong(line, "Groupname must not be empty");
        }
        if groups.iter().any(|group| group.name == own.name.value) {
            reading.wrong(line, format!("groupname: {:?} is repeated in the same file", own.name.value));
        }
        let group = reading.group(own);
        groups.push(group);
    }
    match reading.problems.is_empty() {
        true => Ok(RuleFile { path: path.to_owned(), groups }),
        false => Err(reading.problems),
    }
}

/// What is wrong with YAML, without the words that are meant for programmers.
pub(crate) fn of_yaml(error: &serde_saphyr::Error) -> Problem {
    let text = error.to_string();
    let ends = [" at line ", "; use ", ", set DuplicateKeyPolicy"].iter().filter_map(|behind| text.find(behind)).min();
    Problem {
        file: "".into(),
        line: error.location().map_or(1, |location| location.line() as usize),
        message: text[..ends.unwrap_or(text.len())].to_owned(),
    }
}

fn line_of<T>(own: &Spanned<T>) -> usize {
    own.referenced.line() as usize
}

struct Reading<'a> {
    file: Arc<str>,
    limits: &'a Limits,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn wrong(&mut self, line: usize, message: impl Into<String>) {
        self.problems.push(Problem { file: self.file.clone(), line, message: message.into() });
    }

    fn group(&mut self, own: GroupText) -> Group {
        let name = own.name.value;
        let interval_ms =
            own.interval.as_ref().map(|text| self.duration_ms(text, &format!("group {name:?}"))).filter(|ms| *ms > 0);
        let offset_ms = own.query_offset.as_ref().map_or(0, |text| self.duration_ms(text, &format!("group {name:?}")));
        let of_group = own.labels.unwrap_or_default();
        let rules = own.rules.unwrap_or_default().into_iter().enumerate();
        let rules = rules.map(|(at, rule)| self.rule(&name, at + 1, rule, &of_group)).collect();
        Group {
            name,
            file: self.file.clone(),
            interval_ms,
            offset_ms,
            limit: usize::try_from(own.limit).unwrap_or(0),
            rules,
        }
    }

    fn duration_ms(&mut self, text: &Spanned<String>, of: &str) -> i64 {
        match parse_duration(&text.value) {
            Ok(ns) => ns / 1_000_000,
            Err(error) => {
                self.wrong(line_of(text), format!("{of}: {error}"));
                0
            }
        }
    }

    fn rule(&mut self, group: &str, number: usize, own: Spanned<RuleText>, of_group: &Texts) -> Rule {
        let (line, own) = (line_of(&own), own.value);
        let name = own.record.as_ref().or(own.alert.as_ref()).map_or_else(String::new, |name| name.value.clone());
        let what = format!("group {group:?}, rule {number}, {name:?}");
        match (&own.record, &own.alert) {
            (Some(record), Some(alert)) if !record.value.is_empty() && !alert.value.is_empty() => {
                self.wrong(line, format!("{what}: only one of 'record' and 'alert' must be set"));
            }
            _ if name.is_empty() => self.wrong(line, format!("{what}: one of 'record' or 'alert' must be set")),
            _ => {}
        }
        let (expr, query) = self.expr(own.expr.as_ref(), line, &what);
        let hold_ms = own.hold.as_ref().map_or(0, |text| self.duration_ms(text, &what));
        let keep_firing_for_ms = own.keep_firing_for.as_ref().map_or(0, |text| self.duration_ms(text, &what));
        let is_record = own.record.as_ref().is_some_and(|record| !record.value.is_empty());
        // What a group says for all its rules, a rule can say otherwise.
        let mut texts = of_group.clone();
        texts.extend(own.labels.unwrap_or_default());
        let labels = self.texts(texts, &what, "label", is_record);
        let kind = match is_record {
            true => {
                for (field, is_there) in [
                    ("annotations", own.annotations.as_ref().is_some_and(|own| !own.is_empty())),
                    ("for", hold_ms != 0),
                    ("keep_firing_for", keep_firing_for_ms != 0),
                ] {
                    if is_there {
                        self.wrong(line, format!("{what}: invalid field '{field}' in recording rule"));
                    }
                }
                if name.contains(['{', '}']) {
                    self.wrong(
                        line,
                        format!("{what}: braces present in the recording rule name; should it be in expr?: {name}"),
                    );
                }
                Kind::Record
            }
            false => {
                let annotations = self.texts(own.annotations.unwrap_or_default(), &what, "annotation", false);
                Kind::Alert { for_ms: hold_ms, keep_firing_for_ms, annotations }
            }
        };
        Rule { name, line, asks: Asks::Expr(expr), query, labels, kind }
    }

    fn expr(&mut self, text: Option<&Spanned<String>>, line: usize, what: &str) -> (Arc<promql::syntax::Expr>, String) {
        let none = || (Arc::new(parse("0", &Limits::default()).expect("a number is a question")), String::new());
        let Some(text) = text.filter(|text| !text.value.trim().is_empty()) else {
            self.wrong(line, format!("{what}: field 'expr' must be set in rule"));
            return none();
        };
        match parse(&text.value, self.limits) {
            Ok(expr) => {
                let query = expr.to_string();
                (Arc::new(expr), query)
            }
            Err(error) => {
                self.wrong(line_of(text), format!("{what}: could not parse expression: {error}"));
                none()
            }
        }
    }

    /// Labels or annotations, by name. Those of a record are no templates.
    fn texts(&mut self, texts: Texts, what: &str, kind: &str, is_plain: bool) -> Vec<Text> {
        let mut all = Vec::with_capacity(texts.len());
        for (name, text) in texts {
            let line = line_of(&text);
            if name.is_empty() || kind == "label" && name == "__name__" {
                self.wrong(line, format!("{what}: invalid {kind} name: {name}"));
            }
            let parsed = match is_plain {
                true => Template::plain(&text.value),
                false => Template::parse(&text.value),
            };
            match parsed {
                Ok(template) => all.push(Text { name, template, source: text.value }),
                Err(error) => {
                    // A text that begins in the line of its name counts from there.
                    let at = line + error.line - 1;
                    self.wrong(at, format!("{what}: {kind} {name:?}: {}", error.message));
                }
            }
        }
        all
    }
}
