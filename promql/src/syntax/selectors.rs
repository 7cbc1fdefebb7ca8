//! Selectors and lists of labels.

use super::expr::{BinaryOp, Modifiers, Selector};
use super::matcher::{MatchOp, Matcher, NAME};
use super::parser::{Parsed, Parser};
use super::quote::quote;
use super::span::Span;
use super::token::{Item, Token};

/// What is read, for errors.
const MATCHING: &str = "label matching";
const GROUPING: &str = "grouping opts";

impl<'a> Parser<'a> {
    /// A selector, with or without a name.
    pub(crate) fn selector(&mut self) -> Parsed<Selector> {
        match self.item.token {
            Token::LeftBrace => self.selector_of(None),
            token if token.is_metric() => {
                let name = self.advance()?;
                self.selector_of(Some(name))
            }
            _ => self.unexpected("", ""),
        }
    }

    /// A selector whose name is read.
    pub(crate) fn selector_of(&mut self, name: Option<Item<'a>>) -> Parsed<Selector> {
        let mut span = name.map_or(self.item.span, |name| name.span);
        let mut matchers = Vec::new();
        if self.item.token == Token::LeftBrace {
            self.advance()?;
            let end;
            (matchers, end) = self.matchers()?;
            span = span.to(end);
        }
        matchers.extend(name.map(|name| Matcher::equal(NAME, name.text)));
        let name = name.map(|name| name.text.to_owned());
        Ok(Selector { name, matchers, modifiers: Modifiers::default(), extension: None, is_counted: false, span })
    }

    /// What stands in braces, and where these end.
    fn matchers(&mut self) -> Parsed<(Vec<Matcher>, Span)> {
        let mut matchers = Vec::new();
        loop {
            if let Some(close) = self.accept(Token::RightBrace)? {
                return Ok((matchers, close.span));
            }
            matchers.push(self.matcher()?);
            match self.item.token {
                Token::Comma => self.advance()?,
                Token::RightBrace => continue,
                _ => return self.unexpected(MATCHING, "\",\" or \"}\""),
            };
        }
    }

    /// `job="node"`, or the name of a metric in quotes.
    fn matcher(&mut self) -> Parsed<Matcher> {
        let (label, is_quoted) = match self.item.token {
            Token::Identifier => (self.advance()?, false),
            Token::Text => (self.advance()?, true),
            _ => return self.unexpected(MATCHING, "identifier or \"}\""),
        };
        let name = if is_quoted { self.unquoted(label) } else { label.text.to_owned() };
        let is_op = matches!(
            self.item.token,
            Token::Equal | Token::Op(BinaryOp::Ne) | Token::EqualRegex | Token::NotEqualRegex
        );
        if !is_op {
            return match is_quoted {
                true => Ok(Matcher::equal(NAME, &name)),
                false => self.unexpected(MATCHING, "label matching operator"),
            };
        }
        let op = self.advance()?.token;
        let value = self.expect(Token::Text, MATCHING, "string")?;
        let text = self.unquoted(value);
        let op = match op {
            Token::Equal => MatchOp::Equal(text),
            Token::EqualRegex | Token::NotEqualRegex => match text.parse() {
                Ok(pattern) if op == Token::EqualRegex => MatchOp::Matches(pattern),
                Ok(pattern) => MatchOp::MatchesNot(pattern),
                Err(message) => return self.stop(label.span.to(value.span), message),
            },
            _ => MatchOp::NotEqual(text),
        };
        Ok(Matcher { label: name, op })
    }

    /// Labels in parentheses.
    pub(crate) fn grouping(&mut self) -> Parsed<Vec<String>> {
        Ok(self.grouping_at()?.0)
    }

    /// The same, and where they end.
    pub(crate) fn grouping_at(&mut self) -> Parsed<(Vec<String>, Span)> {
        self.expect(Token::LeftParen, GROUPING, "\"(\"")?;
        let mut labels = Vec::new();
        loop {
            if let Some(close) = self.accept(Token::RightParen)? {
                return Ok((labels, close.span));
            }
            labels.push(self.grouping_label()?);
            match self.item.token {
                Token::Comma => self.advance()?,
                Token::RightParen => continue,
                _ => return self.unexpected(GROUPING, "\",\" or \")\""),
            };
        }
    }

    fn grouping_label(&mut self) -> Parsed<String> {
        let item = match self.item.token {
            token if token.is_label() || token == Token::Text => self.advance()?,
            _ => return self.unexpected(GROUPING, "label"),
        };
        let label = if item.token == Token::Text { self.unquoted(item) } else { item.text.to_owned() };
        if label.is_empty() {
            self.note(item.span, format!("invalid label name for grouping: {}", quote(&label)));
        }
        Ok(label)
    }
}
