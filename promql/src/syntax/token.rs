//! The words and signs of a question.

use super::expr::{AggregateOp, BinaryOp};
use super::quote::quote;
use super::span::Span;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    End,
    /// A name without colons.
    Identifier,
    /// A name with colons.
    MetricIdentifier,
    Number,
    Duration,
    Text,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    Equal,
    EqualRegex,
    NotEqualRegex,
    At,
    /// `!=` stands between labels, too.
    Op(BinaryOp),
    Aggregate(AggregateOp),
    Keyword(Keyword),
    /// What is a function, too.
    Preprocessor(Preprocessor),
}

/// Words that stand between expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyword {
    Anchored,
    Bool,
    By,
    Fill,
    FillLeft,
    FillRight,
    GroupLeft,
    GroupRight,
    Ignoring,
    Offset,
    On,
    Smoothed,
    Without,
}

/// Words that say something of the question itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preprocessor {
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    pub token: Token,
    pub text: &'a str,
    pub span: Span,
}

impl Token {
    /// The token of a word in small letters.
    pub(crate) fn of_word(word: &str) -> Option<Token> {
        use Keyword::{
            Anchored, Bool, By, Fill, FillLeft, FillRight, GroupLeft, GroupRight, Ignoring, Offset, On, Smoothed,
            Without,
        };
        use Preprocessor::{End, MaxOf, MinOf, Range, Start, Step};
        let token = match word {
            "and" => Token::Op(BinaryOp::And),
            "or" => Token::Op(BinaryOp::Or),
            "unless" => Token::Op(BinaryOp::Unless),
            "atan2" => Token::Op(BinaryOp::Atan2),
            "offset" => Token::Keyword(Offset),
            "smoothed" => Token::Keyword(Smoothed),
            "anchored" => Token::Keyword(Anchored),
            "by" => Token::Keyword(By),
            "without" => Token::Keyword(Without),
            "on" => Token::Keyword(On),
            "ignoring" => Token::Keyword(Ignoring),
            "group_left" => Token::Keyword(GroupLeft),
            "group_right" => Token::Keyword(GroupRight),
            "fill" => Token::Keyword(Fill),
            "fill_left" => Token::Keyword(FillLeft),
            "fill_right" => Token::Keyword(FillRight),
            "bool" => Token::Keyword(Bool),
            "start" => Token::Preprocessor(Start),
            "end" => Token::Preprocessor(End),
            "step" => Token::Preprocessor(Step),
            "range" => Token::Preprocessor(Range),
            "max_of" => Token::Preprocessor(MaxOf),
            "min_of" => Token::Preprocessor(MinOf),
            "inf" | "nan" => Token::Number,
            _ => return AggregateOp::ALL.into_iter().find(|op| op.name() == word).map(Token::Aggregate),
        };
        Some(token)
    }

    /// A word that may be a label, too.
    pub(crate) fn is_label(self) -> bool {
        match self {
            Token::Identifier | Token::MetricIdentifier | Token::Aggregate(_) | Token::Preprocessor(_) => true,
            Token::Op(op) => matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless | BinaryOp::Atan2),
            Token::Keyword(keyword) => keyword != Keyword::Without,
            _ => false,
        }
    }

    /// A word that may be the name of a metric, too.
    pub(crate) fn is_metric(self) -> bool {
        use Keyword::{Anchored, By, Fill, FillLeft, FillRight, Offset, Smoothed, Without};
        match self {
            Token::Identifier | Token::MetricIdentifier | Token::Aggregate(_) | Token::Preprocessor(_) => true,
            Token::Op(op) => op.is_set(),
            Token::Keyword(By | Fill | FillLeft | FillRight | Offset | Without | Anchored | Smoothed) => true,
            _ => false,
        }
    }
}

impl Item<'_> {
    /// As errors call it.
    pub(crate) fn describe(&self) -> String {
        let shown = match self.token {
            Token::End => return "end of input".into(),
            Token::Keyword(_) => return format!("<{}>", self.text),
            Token::Op(_) | Token::EqualRegex | Token::NotEqualRegex | Token::At => {
                return format!("<op:{}>", self.text);
            }
            Token::Aggregate(_) => return format!("<aggr:{}>", self.text),
            Token::Identifier | Token::MetricIdentifier => quote(self.text),
            _ => self.shortened(),
        };
        match self.token {
            Token::Identifier => format!("identifier {shown}"),
            Token::MetricIdentifier => format!("metric identifier {shown}"),
            Token::Text => format!("string {shown}"),
            Token::Number => format!("number {shown}"),
            Token::Duration => format!("duration {shown}"),
            _ => shown,
        }
    }

    fn shortened(&self) -> String {
        match self.text.char_indices().nth(10) {
            Some((end, _)) if self.text.len() > 10 => format!("{}...", quote(&self.text[..end])),
            _ => quote(self.text),
        }
    }
}
