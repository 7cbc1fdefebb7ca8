//! From words to a template.

use std::collections::{BTreeMap, HashSet};

use super::functions::is_function;
use super::lexer::{Placed, Token, words};
use super::tree::{Command, Node, Operand, Pipeline, Template, TemplateError};

/// Templates and pipelines stand in each other so deep at the most.
const DEPTH_MAX: usize = 100;
/// A template is no longer.
const BYTES_MAX: usize = 64 << 10;

impl Template {
    /// The template that a text is.
    ///
    /// # Errors
    ///
    /// It is none, or calls what there is not.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        if text.len() > BYTES_MAX {
            return TemplateError::new(1, format!("a template has no more than {} KiB", BYTES_MAX >> 10));
        }
        let mut parser = Parser { words: words(text)?, at: 0, depth: 0, defined: BTreeMap::new(), scopes: Vec::new() };
        parser.scopes.push(["", "labels", "externalLabels", "externalURL", "value"].map(str::to_owned).into());
        let (body, end) = parser.nodes(false)?;
        if let Some((word, line)) = end {
            return TemplateError::new(line, format!("{{{{ {word} }}}} has no beginning"));
        }
        Ok(Template { body, defined: parser.defined })
    }
}

impl Template {
    /// A text that stands for itself.
    ///
    /// # Errors
    ///
    /// It is too long.
    pub fn plain(text: &str) -> Result<Template, TemplateError> {
        if text.len() > BYTES_MAX {
            return TemplateError::new(1, format!("a text has no more than {} KiB", BYTES_MAX >> 10));
        }
        Ok(Template { body: vec![Node::Text(text.to_owned())], defined: BTreeMap::new() })
    }
}

struct Parser {
    words: Vec<Placed>,
    at: usize,
    depth: usize,
    defined: BTreeMap<String, Vec<Node>>,
    /// The variables that there are.
    scopes: Vec<HashSet<String>>,
}

/// `end` or `else`, and its line.
type End = Option<(&'static str, usize)>;

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.words.get(self.at).map(|(token, _)| token)
    }

    fn line(&self) -> usize {
        self.words.get(self.at).or(self.words.last()).map_or(1, |(_, line)| *line)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.words.get(self.at).map(|(token, _)| token.clone());
        self.at += 1;
        token
    }

    fn wrong<T>(&self, message: impl Into<String>) -> Result<T, TemplateError> {
        TemplateError::new(self.line(), message)
    }

    fn deeper(&mut self) -> Result<(), TemplateError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { self.wrong(format!("it is deeper than {DEPTH_MAX}")) } else { Ok(()) }
    }

    /// Nodes up to `end` or `else`, which is taken, too; but not the `}}` behind it.
    fn nodes(&mut self, in_range: bool) -> Result<(Vec<Node>, End), TemplateError> {
        self.deeper()?;
        let mut nodes = Vec::new();
        let mut end = None;
        while let Some(token) = self.next() {
            let Token::Open = token else {
                if let Token::Text(text) = token {
                    nodes.push(Node::Text(text));
                }
                continue;
            };
            let line = self.line();
            let word = match self.peek() {
                Some(Token::Name(name)) => name.clone(),
                _ => String::new(),
            };
            match word.as_str() {
                "end" | "else" => {
                    self.at += 1;
                    end = Some((if word == "end" { "end" } else { "else" }, line));
                    if word == "end" {
                        self.close()?;
                    }
                    break;
                }
                "define" | "block" => {
                    self.at += 1;
                    nodes.extend(self.definition(word == "block")?);
                }
                "if" | "with" | "range" => {
                    self.at += 1;
                    nodes.push(self.control(&word, in_range)?);
                }
                "template" => {
                    self.at += 1;
                    nodes.push(self.call(line)?);
                }
                "break" | "continue" => {
                    self.at += 1;
                    if !in_range {
                        return TemplateError::new(line, format!("{{{{ {word} }}}} stands in no range"));
                    }
                    nodes.push(if word == "break" { Node::Break } else { Node::Continue });
                    self.close()?;
                }
                _ => {
                    nodes.push(Node::Print(self.pipeline(1)?));
                    self.close()?;
                }
            }
        }
        self.depth -= 1;
        Ok((nodes, end))
    }

    fn close(&mut self) -> Result<(), TemplateError> {
        match self.peek() {
            Some(Token::Close) => {
                self.at += 1;
                Ok(())
            }
            other => self.wrong(format!("}}}} is expected, and not {}", shown(other))),
        }
    }

    /// What ends with `{{ end }}`.
    fn body(&mut self, in_range: bool) -> Result<Vec<Node>, TemplateError> {
        let line = self.line();
        match self.nodes(in_range)? {
            (nodes, Some(("end", _))) => Ok(nodes),
            (_, Some((_, line))) => TemplateError::new(line, "{{ else }} is not expected here"),
            (_, None) => TemplateError::new(line, "{{ end }} is missing"),
        }
    }

    fn control(&mut self, word: &str, in_range: bool) -> Result<Node, TemplateError> {
        self.scopes.push(HashSet::new());
        let line = self.line();
        let of = self.pipeline(if word == "range" { 2 } else { 1 })?;
        self.close()?;
        let is_range = word == "range";
        let (body, end) = self.nodes(in_range || is_range)?;
        let otherwise = match end {
            None => return TemplateError::new(line, format!("{{{{ {word} }}}} has no {{{{ end }}}}")),
            Some(("end", _)) => Vec::new(),
            // `else if` and `else with` are a node of their own, which takes the end.
            _ => match self.peek() {
                Some(Token::Name(next)) if !is_range && matches!(next.as_str(), "if" | "with") => {
                    let next = next.clone();
                    self.at += 1;
                    self.deeper()?;
                    let node = self.control(&next, in_range)?;
                    self.depth -= 1;
                    vec![node]
                }
                _ => {
                    self.close()?;
                    self.body(in_range)?
                }
            },
        };
        self.scopes.pop();
        Ok(match word {
            "if" => Node::If { condition: of, body, otherwise },
            "with" => Node::With { what: of, body, otherwise },
            _ => Node::Range { over: of, body, otherwise },
        })
    }

    fn definition(&mut self, is_block: bool) -> Result<Option<Node>, TemplateError> {
        let line = self.line();
        let Some(Token::Quoted(name)) = self.next() else {
            return TemplateError::new(line, "a template has a name in \"");
        };
        let with = if is_block { Some(self.pipeline(0)?) } else { None };
        self.close()?;
        // It knows `$` and what it sets itself.
        let scopes = std::mem::replace(&mut self.scopes, vec![HashSet::from([String::new()])]);
        let body = self.body(false)?;
        self.scopes = scopes;
        if self.defined.insert(name.clone(), body).is_some() {
            return TemplateError::new(line, format!("the template {name:?} is defined twice"));
        }
        Ok(with.map(|with| Node::Template { line, name, with: Some(with) }))
    }

    fn call(&mut self, line: usize) -> Result<Node, TemplateError> {
        let Some(Token::Quoted(name)) = self.next() else {
            return TemplateError::new(line, "a template has a name in \"");
        };
        let with = if self.peek() == Some(&Token::Close) { None } else { Some(self.pipeline(0)?) };
        self.close()?;
        Ok(Node::Template { line, name, with })
    }

    /// A pipeline that sets no more variables than these.
    fn pipeline(&mut self, variables_max: usize) -> Result<Pipeline, TemplateError> {
        self.deeper()?;
        let line = self.line();
        let (variables, declares) = self.variables(variables_max)?;
        let mut commands = vec![self.command()?];
        while self.peek() == Some(&Token::Sign("|")) {
            self.at += 1;
            let command = self.command()?;
            if !matches!(command.operands[0], Operand::Function(_) | Operand::Field(..)) {
                return self.wrong("behind | comes a function");
            }
            commands.push(command);
        }
        if declares && let Some(scope) = self.scopes.last_mut() {
            scope.extend(variables.iter().cloned());
        }
        self.depth -= 1;
        Ok(Pipeline { line, variables, declares, commands })
    }

    /// `$a, $b :=`, if that comes next.
    fn variables(&mut self, max: usize) -> Result<(Vec<String>, bool), TemplateError> {
        let (start, mut names) = (self.at, Vec::new());
        while let Some(Token::Variable(name)) = self.peek() {
            names.push(name.clone());
            self.at += 1;
            match self.peek() {
                Some(Token::Sign(",")) => self.at += 1,
                Some(Token::Sign(sign @ (":=" | "="))) => {
                    let declares = *sign == ":=";
                    if names.len() > max {
                        return self.wrong(format!("{} variables are set, where {max} can be", names.len()));
                    }
                    if let Some(name) = names.iter().find(|name| !declares && !self.is_declared(name)) {
                        return self.wrong(format!("there is no variable ${name}"));
                    }
                    self.at += 1;
                    return Ok((names, declares));
                }
                _ => break,
            }
        }
        self.at = start;
        Ok((Vec::new(), false))
    }

    fn is_declared(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains(name))
    }

    fn command(&mut self) -> Result<Command, TemplateError> {
        let mut operands = Vec::new();
        while let Some(operand) = self.operand()? {
            operands.push(operand);
        }
        match (operands.first(), operands.len()) {
            (None, _) => self.wrong(format!("a value is missing before {}", shown(self.peek()))),
            (Some(Operand::Function(_) | Operand::Field(..)), _) | (_, 1) => Ok(Command { operands }),
            _ => self.wrong("what is no function takes no arguments"),
        }
    }

    fn operand(&mut self) -> Result<Option<Operand>, TemplateError> {
        let line = self.line();
        let mut operand = match self.peek().cloned() {
            Some(Token::Dot) => Operand::Dot,
            Some(Token::Field(name, true)) => Operand::Field(Operand::Dot.into(), name),
            Some(Token::Variable(name)) if self.is_declared(&name) => Operand::Variable(name),
            Some(Token::Variable(name)) => return self.wrong(format!("there is no variable ${name}")),
            Some(Token::Name(name)) => match name.as_str() {
                "true" | "false" => Operand::Bool(name == "true"),
                "nil" => Operand::Nil,
                _ if is_function(&name) => Operand::Function(name),
                _ => return self.wrong(format!("there is no function {name:?}")),
            },
            Some(Token::Int(value)) => Operand::Int(value),
            Some(Token::Float(value)) => Operand::Float(value),
            Some(Token::Quoted(text)) => Operand::Text(text),
            Some(Token::Sign("(")) => {
                self.at += 1;
                let inside = self.pipeline(0)?;
                if self.peek() != Some(&Token::Sign(")")) {
                    return TemplateError::new(line, "( without )");
                }
                Operand::Pipeline(inside.into())
            }
            _ => return Ok(None),
        };
        self.at += 1;
        while let Some(Token::Field(name, false)) = self.peek() {
            operand = Operand::Field(operand.into(), name.clone());
            self.at += 1;
        }
        Ok(Some(operand))
    }
}

fn shown(token: Option<&Token>) -> String {
    match token {
        None => "the end".into(),
        Some(Token::Text(_) | Token::Open) => "a text".into(),
        Some(Token::Close) => "}}".into(),
        Some(Token::Name(name)) => name.clone(),
        Some(Token::Variable(name)) => format!("${name}"),
        Some(Token::Field(name, _)) => format!(".{name}"),
        Some(Token::Dot) => ".".into(),
        Some(Token::Int(value)) => value.to_string(),
        Some(Token::Float(value)) => value.to_string(),
        Some(Token::Quoted(text)) => format!("{text:?}"),
        Some(Token::Sign(sign)) => (*sign).to_owned(),
    }
}
