//! A template, parsed.

use std::collections::BTreeMap;
use std::fmt;

/// A template that can be filled.
#[derive(Debug, Clone)]
pub struct Template {
    pub(super) body: Vec<Node>,
    /// Those that it defines, by name.
    pub(super) defined: BTreeMap<String, Vec<Node>>,
}

/// What is wrong with a template, or with what it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// In which line of the template, counted from 1.
    pub line: usize,
    /// What it is.
    pub message: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for TemplateError {}

impl TemplateError {
    pub(super) fn new<T>(line: usize, message: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError { line, message: message.into() })
    }
}

/// A piece of a template.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    /// What it gives is written, unless it sets a variable.
    Print(Pipeline),
    If {
        condition: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        what: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        over: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    /// Another one, by its name.
    Template {
        line: usize,
        name: String,
        with: Option<Pipeline>,
    },
    Break,
    Continue,
}

/// Commands, each of which gets what the one before gives as its last argument.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub line: usize,
    /// The variables that it sets; two in `range`.
    pub variables: Vec<String>,
    /// `:=`, and not `=`.
    pub declares: bool,
    pub commands: Vec<Command>,
}

/// A function or a value, and arguments.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub operands: Vec<Operand>,
}

/// Something with a value.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    /// `.`
    Dot,
    /// `$name`
    Variable(String),
    Function(String),
    Bool(bool),
    Nil,
    Int(i64),
    Float(f64),
    Text(String),
    Pipeline(Box<Pipeline>),
    /// Something of it: `.name`
    Field(Box<Operand>, String),
}
