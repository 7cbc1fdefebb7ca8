//! Filling a template.

use std::sync::Arc;

use promql::base::labels::Labels;

use super::functions::call;
use super::tree::{Command, Node, Operand, Pipeline, Template, TemplateError};
use super::value::Value;

/// A text has so many bytes at the most.
const BYTES_MAX: usize = 64 << 10;
/// So many nodes are filled at the most.
const STEPS_MAX: usize = 100_000;
/// Templates call each other so deep at the most.
const CALLS_MAX: usize = 50;

/// What a template is filled with.
#[derive(Debug, Clone)]
pub struct Given<'a> {
    /// `$labels`
    pub labels: &'a Labels,
    /// `$externalLabels`
    pub external_labels: &'a Labels,
    /// `$externalURL`
    pub external_url: &'a str,
    /// `$value`
    pub value: Value,
    /// When that is, in milliseconds.
    pub at_ms: i64,
}

impl Default for Given<'_> {
    fn default() -> Self {
        static NONE: std::sync::LazyLock<Labels> = std::sync::LazyLock::new(Labels::default);
        Given { labels: &NONE, external_labels: &NONE, external_url: "", value: Value::Float(0.0), at_ms: 0 }
    }
}

/// What `query` asks.
pub trait Ask {
    /// What a question finds now.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    fn ask(&self, question: &str) -> Result<Vec<(Labels, f64)>, String>;
}

/// Nothing is asked.
#[derive(Debug, Clone, Copy)]
pub struct NoQuestions;

impl Ask for NoQuestions {
    fn ask(&self, _: &str) -> Result<Vec<(Labels, f64)>, String> {
        Err("nothing can be asked here".into())
    }
}

/// A template that is being filled.
pub(super) struct Filling<'a> {
    pub given: &'a Given<'a>,
    pub ask: &'a dyn Ask,
    template: &'a Template,
    text: String,
    /// The innermost last.
    variables: Vec<(String, Value)>,
    steps: usize,
    calls: usize,
}

/// How a list of nodes ended.
#[derive(PartialEq)]
enum Ended {
    Through,
    Break,
    Continue,
}

impl Template {
    /// The text that it gives.
    ///
    /// # Errors
    ///
    /// Something in it does not work out, or the text is longer than 64 KiB.
    pub fn fill(&self, given: &Given<'_>, ask: &dyn Ask) -> Result<String, TemplateError> {
        let labels = Value::from(given.labels);
        let external = Value::from(given.external_labels);
        let url = Value::from(given.external_url);
        let root = [
            ("Labels", labels.clone()),
            ("ExternalLabels", external.clone()),
            ("ExternalURL", url.clone()),
            ("Value", given.value.clone()),
        ];
        let dot = Value::Map(Arc::new(root.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()));
        let variables = [
            ("", dot.clone()),
            ("labels", labels),
            ("externalLabels", external),
            ("externalURL", url),
            ("value", given.value.clone()),
        ];
        let mut filling = Filling {
            given,
            ask,
            template: self,
            text: String::new(),
            variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            steps: 0,
            calls: 0,
        };
        filling.nodes(&self.body, &dot)?;
        Ok(filling.text)
    }
}

impl Filling<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Ended, TemplateError> {
        for node in nodes {
            match self.node(node, dot)? {
                Ended::Through => {}
                ended => return Ok(ended),
            }
        }
        Ok(Ended::Through)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Ended, TemplateError> {
        self.steps += 1;
        match node {
            Node::Text(text) => self.write(text, 1)?,
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                match pipeline.variables.first() {
                    Some(name) => self.set(name, value, pipeline.declares),
                    None => self.write(&value.text(), pipeline.line)?,
                }
            }
            Node::If { condition, body, otherwise } => return self.branch(condition, body, otherwise, dot, false),
            Node::With { what, body, otherwise } => return self.branch(what, body, otherwise, dot, true),
            Node::Range { over, body, otherwise } => return self.range(over, body, otherwise, dot),
            Node::Template { line, name, with } => {
                let with = with.as_ref().map_or(Ok(Value::Nil), |with| self.pipeline(with, dot))?;
                let template = self.template;
                let Some(body) = template.defined.get(name) else {
                    return TemplateError::new(*line, format!("there is no template {name:?}"));
                };
                self.calls += 1;
                if self.calls > CALLS_MAX {
                    return TemplateError::new(*line, format!("templates call each other more than {CALLS_MAX} deep"));
                }
                let outer = std::mem::replace(&mut self.variables, vec![(String::new(), with.clone())]);
                self.nodes(body, &with)?;
                self.variables = outer;
                self.calls -= 1;
            }
            Node::Break => return Ok(Ended::Break),
            Node::Continue => return Ok(Ended::Continue),
        }
        Ok(Ended::Through)
    }

    fn write(&mut self, text: &str, line: usize) -> Result<(), TemplateError> {
        self.text.push_str(text);
        if self.text.len() > BYTES_MAX || self.steps > STEPS_MAX {
            return TemplateError::new(line, format!("the text is longer than {} KiB", BYTES_MAX >> 10));
        }
        Ok(())
    }

    fn branch(
        &mut self,
        of: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
        is_with: bool,
    ) -> Result<Ended, TemplateError> {
        let outer = self.variables.len();
        let value = self.pipeline(of, dot)?;
        if let Some(name) = of.variables.first() {
            self.set(name, value.clone(), of.declares);
        }
        let ended = match value.is_true() {
            true => self.nodes(body, if is_with { &value } else { dot }),
            false => self.nodes(otherwise, dot),
        };
        self.variables.truncate(outer);
        ended
    }

    fn range(
        &mut self,
        over: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<Ended, TemplateError> {
        let items: Vec<(Value, Value)> = match self.pipeline(over, dot)? {
            Value::List(all) => all.iter().enumerate().map(|(at, own)| (Value::Int(at as i64), own.clone())).collect(),
            Value::Map(all) => all.iter().map(|(name, own)| (name.as_str().into(), own.clone())).collect(),
            Value::Int(count) => (0..count.min(STEPS_MAX as i64)).map(|at| (Value::Int(at), Value::Int(at))).collect(),
            Value::Nil => Vec::new(),
            other => return TemplateError::new(over.line, format!("range cannot go over {}", other.kind())),
        };
        let outer = self.variables.len();
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (key, item) in items {
            self.steps += 1;
            self.write("", over.line)?;
            match over.variables.as_slice() {
                [own] => self.set(own, item.clone(), over.declares),
                [at, own] => {
                    self.set(at, key, over.declares);
                    self.set(own, item.clone(), over.declares);
                }
                _ => {}
            }
            let ended = self.nodes(body, &item)?;
            self.variables.truncate(outer);
            if ended == Ended::Break {
                break;
            }
        }
        Ok(Ended::Through)
    }

    fn set(&mut self, name: &str, value: Value, declares: bool) {
        match self.variables.iter_mut().rev().find(|(own, _)| !declares && own == name) {
            Some(variable) => variable.1 = value,
            None => self.variables.push((name.to_owned(), value)),
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, dot, value, pipeline.line)?);
        }
        Ok(value.unwrap_or(Value::Nil))
    }

    fn command(
        &mut self,
        command: &Command,
        dot: &Value,
        last: Option<Value>,
        line: usize,
    ) -> Result<Value, TemplateError> {
        let (first, arguments) = command.operands.split_first().expect("a command has an operand");
        match first {
            Operand::Function(name) if matches!(name.as_str(), "and" | "or") => {
                // The first that decides it; those behind are not looked at.
                let mut found = Value::Nil;
                for argument in arguments {
                    found = self.operand(argument, dot, line)?;
                    if found.is_true() != (name == "and") {
                        return Ok(found);
                    }
                }
                Ok(last.unwrap_or(found))
            }
            Operand::Function(name) => {
                let mut values = Vec::with_capacity(arguments.len() + 1);
                for argument in arguments {
                    values.push(self.operand(argument, dot, line)?);
                }
                values.extend(last);
                call(self, name, &values).map_err(|message| TemplateError { line, message })
            }
            operand if arguments.is_empty() && last.is_none() => self.operand(operand, dot, line),
            _ => TemplateError::new(line, "what is no function takes no arguments"),
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &Value, line: usize) -> Result<Value, TemplateError> {
        Ok(match operand {
            Operand::Dot => dot.clone(),
            Operand::Variable(name) => {
                let found = self.variables.iter().rev().find(|(own, _)| own == name);
                found.map_or(Value::Nil, |(_, value)| value.clone())
            }
            Operand::Function(name) => call(self, name, &[]).map_err(|message| TemplateError { line, message })?,
            Operand::Bool(own) => Value::Bool(*own),
            Operand::Nil => Value::Nil,
            Operand::Int(own) => Value::Int(*own),
            Operand::Float(own) => Value::Float(*own),
            Operand::Text(own) => own.as_str().into(),
            Operand::Pipeline(own) => self.pipeline(own, dot)?,
            Operand::Field(of, name) => {
                let of = self.operand(of, dot, line)?;
                of.field(name).map_err(|message| TemplateError { line, message })?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::NAMES;
    use super::*;

    struct Fixed;

    impl Ask for Fixed {
        fn ask(&self, question: &str) -> Result<Vec<(Labels, f64)>, String> {
            match question {
                "up" => Ok(vec![
                    (Labels::new([("__name__", "up"), ("instance", "b")]), 1.0),
                    (Labels::new([("__name__", "up"), ("instance", "a")]), 0.0),
                ]),
                "none" => Ok(Vec::new()),
                other => Err(format!("{other} is not stored")),
            }
        }
    }

    fn filled(text: &str) -> Result<String, String> {
        let labels = Labels::new([("instance", "db1:9100"), ("job", "node")]);
        let external = Labels::new([("region", "eu")]);
        let given = Given {
            labels: &labels,
            external_labels: &external,
            external_url: "http://watch.example:9999/sub/",
            value: 1_234_567.0.into(),
            at_ms: 1_500,
        };
        let template = Template::parse(text).map_err(|error| error.to_string())?;
        template.fill(&given, &Fixed).map_err(|error| error.to_string())
    }

    #[test]
    fn texts_are_those_of_go() {
        for (text, expected) in [
            ("plain", "plain"),
            ("{{ $labels.instance }} {{ .Labels.job }} {{ $labels.none }}|", "db1:9100 node |"),
            ("{{ $value }} {{ .Value | humanize }} {{ $externalLabels.region }}", "1.234567e+06 1.235M eu"),
            ("a {{- /* a comment */ -}} b {{- 1 }} {{ 2 -}} c", "ab1 2c"),
            ("{{ if eq $labels.job \"node\" }}yes{{ else }}no{{ end }}", "yes"),
            ("{{ if gt $value 2e6 }}a{{ else if lt $value 3e6 }}b{{ else }}c{{ end }}", "b"),
            ("{{ with $labels.none }}x{{ else }}empty{{ end }}{{ with $labels.job }}{{ . }}{{ end }}", "emptynode"),
            (
                "{{ range $i, $s := query \"up\" }}{{ $i }}={{ $s.Labels.instance }}:{{ .Value }};{{ end }}",
                "0=b:1;1=a:0;",
            ),
            ("{{ range query \"up\" | sortByLabel \"instance\" }}{{ .Labels.instance }}{{ end }}", "ab"),
            ("{{ range query \"none\" }}x{{ else }}nothing{{ end }}", "nothing"),
            ("{{ query \"up\" | first | value }} {{ query \"up\" | first | label \"instance\" }}", "1 b"),
            ("{{ with query \"up\" }}{{ . | first | value | humanize }}{{ end }}", "1"),
            ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
            ("{{ $labels }}", "map[instance:db1:9100 job:node]"),
            ("{{ printf \"%.1f %s\" $value \"x\" }} {{ `raw\\n` }} {{ 'a' }} {{ 0x10 }}", "1234567.0 x raw\\n 97 16"),
            ("{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" $labels.job }}", "<node>"),
            ("{{ define \"two\" }}{{ .arg0 }}-{{ .arg1 }}{{ end }}{{ template \"two\" (args 1 \"b\") }}", "1-b"),
            ("{{ range $k, $v := $labels }}{{ if eq $k \"job\" }}{{ break }}{{ end }}{{ $k }}{{ end }}", "instance"),
            ("{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance }} {{ stripPort $labels.instance }}", "db1 db1"),
            (
                "{{ stripDomain \"db1.example.org:9100\" }} {{ stripDomain \"10.0.0.1\" }} {{ stripPort \"[::1]:9\" }}",
                "db1:9100 10.0.0.1 ::1",
            ),
            ("{{ match \"^db\" $labels.instance }} {{ title \"disk full\" }} {{ toUpper \"a\" }}", "true Disk Full A"),
            (
                "{{ externalURL }} {{ pathPrefix }}{{ graphLink \"up == 0\" }}",
                "http://watch.example:9999/sub/ /sub/graph?g0.expr=up+%3D%3D+0&g0.tab=0",
            ),
            (
                "{{ and 1 0 2 }} {{ or 0 3 }} {{ not true }} {{ len $labels }} {{ index $labels \"job\" }}",
                "0 3 false 2 node",
            ),
            (
                "{{ now }} {{ humanizeTimestamp 0 }} {{ parseDuration \"1h\" }} {{ 90 | toDuration }}",
                "1.5 1970-01-01 00:00:00 +0000 UTC 3600 1m30s",
            ),
            ("{{ print 1 2 \"a\" }} {{ html \"<a>\" }} {{ urlquery \"a b\" }}", "1 2a &lt;a&gt; a+b"),
            ("{{(query \"up\" | first).Value}}{{ \"\\u4e2d\\n\" }}", "1中\n"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line() {
        for (text, expected) in [
            ("a\n{{ foo 1 }}", "line 2: there is no function \"foo\""),
            ("{{ $x }}", "line 1: there is no variable $x"),
            ("{{ if true }}x", "line 1: {{ if }} has no {{ end }}"),
            ("\n\n{{ end }}", "line 3: {{ end }} has no beginning"),
            ("{{ 1 2 }}", "line 1: what is no function takes no arguments"),
            ("{{ \"a }}", "line 1: a text in \" has no end"),
            ("{{ break }}", "line 1: {{ break }} stands in no range"),
            ("{{ ", "line 1: {{ without }}"),
            ("{{ query \"none\" | first }}", "line 1: first() called on vector with no elements"),
            ("{{ query \"gone\" }}", "line 1: gone is not stored"),
            ("{{ humanize \"x\" }}", "line 1: \"x\" is no number"),
            ("{{ $value.x }}", "line 1: a number has no .x"),
            ("{{ eq 1 \"a\" }}", "line 1: a whole number and a text cannot be compared"),
            ("{{ reReplaceAll \"(\" \"\" \"a\" }}", "line 1: \"(\" is no pattern"),
            (
                "{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}",
                "line 1: templates call each other",
            ),
            ("{{ range 100000 }}{{ range 100000 }}x{{ end }}{{ end }}", "line 1: the text is longer than 64 KiB"),
            ("{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}", "line 1: the text is longer than 64 KiB"),
        ] {
            let error = filled(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        let deep = format!("{}1{}", "{{ if true }}".repeat(200), "{{ end }}".repeat(200));
        assert!(filled(&deep).unwrap_err().contains("deeper than"), "{deep}");
        let deep = format!("{{{{ {}1{} }}}}", "(".repeat(200), ")".repeat(200));
        assert!(filled(&deep).unwrap_err().contains("deeper than"), "{deep}");
    }

    /// Whatever stands there, it is a template or an error.
    #[test]
    fn no_text_does_harm() {
        let pieces = [
            "{{", "}}", " ", "-", "$", ".", "x", "if", "else", "end", "range", "with", "define", "template", "\"", "`",
            "'", "(", ")", "|", ":=", "=", ",", "1", "0x", "1e", "\\", "\n", "ü", "/*", "*/", "$labels", "query",
            "true", "printf",
        ];
        let mut random = fastrand::Rng::new();
        println!("seed {}", random.get_seed());
        for _ in 0..20_000 {
            let text: String = (0..random.usize(0..14)).map(|_| pieces[random.usize(0..pieces.len())]).collect();
            let _ = filled(&text);
            let _ = filled(&format!("{{{{ {text} }}}}"));
        }
        for name in NAMES {
            for arguments in
                ["", "1", "\"a\"", "$labels", "nil", "1 2", "\"a\" \"b\"", "\"a\" \"b\" \"c\"", "-1", "(query \"up\")"]
            {
                let _ = filled(&format!("{{{{ {name} {arguments} }}}}"));
            }
        }
    }
}
