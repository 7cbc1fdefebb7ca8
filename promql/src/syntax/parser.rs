//! From tokens to a tree. A grammar of operators is climbed by precedence; nothing is tried twice.

use super::check::check;
use super::duration::parse_duration;
use super::error::SyntaxError;
use super::expr::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Cardinality, Expr, Extension, Fill, Kind, Length, Limits, Matching,
    Matrix, Modifiers, Subquery,
};
use super::function::function;
use super::lexer::Lexer;
use super::matcher::Matcher;
use super::number::parse_number;
use super::quote::{quote, unquote};
use super::span::Span;
use super::token::{Item, Keyword, Token};

/// Is it `without`, and the labels.
type Grouping = (bool, Vec<String>);

/// So much stack is left below each level, or more is taken.
const RED_ZONE: usize = 128 << 10;
/// So much is taken then.
const STACK: usize = 2 << 20;

/// Reads a question, and checks the types in it.
///
/// # Errors
///
/// The first thing that is wrong with it, and where.
pub fn parse(text: &str, limits: &Limits) -> Result<Expr, SyntaxError> {
    let mut parser = Parser::new(text, *limits)?;
    if parser.item.token == Token::End {
        return Err(SyntaxError::new(text, Span::default(), "no expression found in input".into()));
    }
    let mut expr = parser.whole(|parser| parser.expr(1))?;
    check(&mut expr, text).map_err(|(span, message)| SyntaxError::new(text, span, message))?;
    Ok(expr)
}

/// Reads a selector alone, as in `match[]`. It may match everything.
///
/// # Errors
///
/// The first thing that is wrong with it, and where.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, SyntaxError> {
    let mut parser = Parser::new(text, Limits::default())?;
    Ok(parser.whole(Parser::selector)?.matchers)
}

/// The first thing that is wrong is noted, and nothing more is read.
#[derive(Debug)]
pub(crate) struct Stop;

pub(crate) type Parsed<T> = Result<T, Stop>;

#[derive(Debug)]
pub(crate) struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    /// The next token.
    pub(crate) item: Item<'a>,
    /// The first thing that is wrong.
    error: Option<SyntaxError>,
    /// What is read, for errors about tokens that should not be there.
    within: &'static str,
    limits: Limits,
    /// Levels that are read at the moment.
    level: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, limits: Limits) -> Result<Parser<'a>, SyntaxError> {
        let item = Item { token: Token::End, text: "", span: Span::default() };
        let mut parser = Parser { text, lexer: Lexer::new(text), item, error: None, within: "", limits, level: 0 };
        match parser.advance() {
            Ok(_) => Ok(parser),
            Err(Stop) => Err(parser.failed()),
        }
    }

    /// All of the text is one of these.
    fn whole<T>(&mut self, read: impl FnOnce(&mut Parser<'a>) -> Parsed<T>) -> Result<T, SyntaxError> {
        let read = read(self).and_then(|read| match self.item.token {
            Token::End => Ok(read),
            _ => self.unexpected("", ""),
        });
        match (read, self.error.is_some()) {
            (Ok(read), false) => Ok(read),
            _ => Err(self.failed()),
        }
    }

    fn failed(&mut self) -> SyntaxError {
        let unknown = || SyntaxError::new(self.text, self.item.span, "unexpected error".into());
        self.error.take().unwrap_or_else(unknown)
    }

    /// Takes the token at hand.
    pub(crate) fn advance(&mut self) -> Parsed<Item<'a>> {
        match self.lexer.next() {
            Ok(next) => Ok(std::mem::replace(&mut self.item, next)),
            Err((span, message)) => self.stop(span, message),
        }
    }

    /// Takes the token at hand if it is this one.
    pub(crate) fn accept(&mut self, token: Token) -> Parsed<Option<Item<'a>>> {
        if self.item.token == token { self.advance().map(Some) } else { Ok(None) }
    }

    /// Takes this token, or says that it is missing.
    pub(crate) fn expect(&mut self, token: Token, context: &str, expected: &str) -> Parsed<Item<'a>> {
        match self.accept(token)? {
            Some(item) => Ok(item),
            None => self.unexpected(context, expected),
        }
    }

    /// Notes what is wrong, if it is the first; what follows is read nevertheless.
    pub(crate) fn note(&mut self, span: Span, message: impl Into<String>) {
        if self.error.is_none() {
            self.error = Some(SyntaxError::new(self.text, span, message.into()));
        }
    }

    /// Notes what is wrong, and reads no further.
    pub(crate) fn stop<T>(&mut self, span: Span, message: impl Into<String>) -> Parsed<T> {
        self.note(span, message);
        Err(Stop)
    }

    /// The token at hand should not be there.
    pub(crate) fn unexpected<T>(&mut self, context: &str, expected: &str) -> Parsed<T> {
        let mut message = format!("unexpected {}", self.item.describe());
        let context = if context.is_empty() { self.within } else { context };
        if !context.is_empty() {
            message.push_str(&format!(" in {context}"));
        }
        if !expected.is_empty() {
            message.push_str(&format!(", expected {expected}"));
        }
        self.stop(self.item.span, message)
    }

    /// A node with all below it.
    fn node(&mut self, kind: Kind, span: Span) -> Parsed<Expr> {
        let mut expr = Expr { kind, span, depth: 0 };
        expr.depth = 1 + expr.children().map(|child| child.depth).max().unwrap_or(0);
        self.within_limits(expr.depth, span)?;
        Ok(expr)
    }

    pub(crate) fn within_limits(&mut self, depth: usize, span: Span) -> Parsed<()> {
        let Limits { depth_max } = self.limits;
        match depth <= depth_max {
            true => Ok(()),
            false => self.stop(span, format!("more than {depth_max} levels; query.depth_max allows more")),
        }
    }

    /// Reads what is a level below.
    pub(crate) fn below<T>(&mut self, read: impl FnOnce(&mut Parser<'a>) -> Parsed<T>) -> Parsed<T> {
        self.level += 1;
        self.within_limits(self.level, self.item.span)?;
        let read = stacker::maybe_grow(RED_ZONE, STACK, || read(self));
        self.level -= 1;
        read
    }

    /// An expression whose operators bind at least so tightly.
    pub(crate) fn expr(&mut self, least: u8) -> Parsed<Expr> {
        self.below(|parser| parser.operators(least))
    }

    fn operators(&mut self, least: u8) -> Parsed<Expr> {
        let mut left = self.signed()?;
        while let Token::Op(op) = self.item.token
            && op.precedence() >= least
        {
            self.advance()?;
            let (is_bool, matching) = self.matching()?;
            let right = self.expr(if op == BinaryOp::Pow { op.precedence() } else { op.precedence() + 1 })?;
            let span = left.span.to(right.span);
            let binary = Binary { op, left, right, is_bool, matching: Some(matching) };
            left = self.node(Kind::Binary(Box::new(binary)), span)?;
        }
        Ok(left)
    }

    /// What stands between an operator and its right side.
    fn matching(&mut self) -> Parsed<(bool, Matching)> {
        let is_bool = self.accept(Token::Keyword(Keyword::Bool))?.is_some();
        let mut matching = Matching {
            cardinality: Cardinality::OneToOne,
            labels: Vec::new(),
            is_on: false,
            include: Vec::new(),
            fill: Fill::default(),
        };
        if let Token::Keyword(keyword @ (Keyword::On | Keyword::Ignoring)) = self.item.token {
            self.advance()?;
            (matching.is_on, matching.labels) = (keyword == Keyword::On, self.grouping()?);
            if let Token::Keyword(keyword @ (Keyword::GroupLeft | Keyword::GroupRight)) = self.item.token {
                self.advance()?;
                matching.cardinality = match keyword {
                    Keyword::GroupLeft => Cardinality::ManyToOne,
                    _ => Cardinality::OneToMany,
                };
                if self.item.token == Token::LeftParen {
                    matching.include = self.grouping()?;
                }
            }
        }
        matching.fill = self.fill()?;
        Ok((is_bool, matching))
    }

    /// `fill(0)`, or `fill_left(0)` and `fill_right(0)` in either order.
    fn fill(&mut self) -> Parsed<Fill> {
        let mut fill = Fill::default();
        if self.accept(Token::Keyword(Keyword::Fill))?.is_some() {
            let value = Some(self.fill_value()?);
            return Ok(Fill { left: value, right: value });
        }
        loop {
            let side = match self.item.token {
                Token::Keyword(Keyword::FillLeft) if fill.left.is_none() => &mut fill.left,
                Token::Keyword(Keyword::FillRight) if fill.right.is_none() => &mut fill.right,
                _ => return Ok(fill),
            };
            self.advance()?;
            *side = Some(self.fill_value()?);
        }
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(Token::LeftParen, "", "")?;
        let is_negative = self.sign()?.is_some_and(|(is_negative, _)| is_negative);
        let Some((value, _, _)) = self.number()? else { return self.unexpected("", "") };
        self.expect(Token::RightParen, "", "")?;
        Ok(if is_negative { -value } else { value })
    }

    /// A sign, if there is one: is it minus, and where.
    pub(crate) fn sign(&mut self) -> Parsed<Option<(bool, Span)>> {
        match self.item.token {
            Token::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                let item = self.advance()?;
                Ok(Some((op == BinaryOp::Sub, item.span)))
            }
            _ => Ok(None),
        }
    }

    /// Signs bind as `*` does: `-a ^ b` is `-(a ^ b)`.
    fn signed(&mut self) -> Parsed<Expr> {
        let Some((is_negative, sign)) = self.sign()? else {
            let expr = self.primary()?;
            return self.modified(expr);
        };
        let mut of = self.expr(BinaryOp::Pow.precedence())?;
        let span = sign.to(of.span);
        if let Kind::Number { value, .. } = &mut of.kind {
            *value = if is_negative { -*value } else { *value };
            of.span = span;
            return Ok(of);
        }
        self.node(Kind::Unary { is_negative, of: Box::new(of) }, span)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        if let Some((value, is_duration, span)) = self.number()? {
            return self.node(Kind::Number { value, is_duration }, span);
        }
        match self.item.token {
            Token::LeftParen => {
                let open = self.advance()?;
                let of = Box::new(self.expr(1)?);
                let close = self.expect(Token::RightParen, "", "")?;
                self.node(Kind::Paren(of), open.span.to(close.span))
            }
            Token::Text => {
                let item = self.advance()?;
                let text = self.unquoted(item);
                self.node(Kind::Text(text), item.span)
            }
            Token::LeftBrace => self.vector(None),
            token if token.is_metric() => {
                let item = self.advance()?;
                self.named(item)
            }
            _ => self.unexpected("", ""),
        }
    }

    /// What a name, which is read, begins: an aggregation, a function, or a selector.
    fn named(&mut self, name: Item<'a>) -> Parsed<Expr> {
        let is_called = self.item.token == Token::LeftParen;
        match name.token {
            Token::Aggregate(op) if is_called || self.is_grouping() => self.aggregate(op, name.span),
            Token::Identifier | Token::Preprocessor(_) if is_called => self.call(name),
            _ => self.vector(Some(name)),
        }
    }

    fn vector(&mut self, name: Option<Item<'a>>) -> Parsed<Expr> {
        let selector = self.selector_of(name)?;
        let span = selector.span;
        self.node(Kind::Vector(Box::new(selector)), span)
    }

    fn is_grouping(&self) -> bool {
        matches!(self.item.token, Token::Keyword(Keyword::By | Keyword::Without))
    }

    fn aggregate(&mut self, op: AggregateOp, start: Span) -> Parsed<Expr> {
        let within = std::mem::replace(&mut self.within, "aggregation");
        let before = self.by()?;
        if self.item.token != Token::LeftParen {
            return self.unexpected("", "");
        }
        let (mut arguments, mut end) = self.arguments()?;
        let (is_without, grouping) = match before {
            Some((by, _)) => by,
            None => self.by()?.map_or((false, Vec::new()), |(by, span)| {
                end = span;
                by
            }),
        };
        self.within = within;
        let span = start.to(end);
        let wanted = 1 + usize::from(op.parameter().is_some());
        if arguments.is_empty() {
            return self.stop(span, "no arguments for aggregate expression provided");
        }
        if arguments.len() != wanted {
            let got = arguments.len();
            let message =
                format!("wrong number of arguments for aggregate expression provided, expected {wanted}, got {got}");
            return self.stop(span, message);
        }
        let of = arguments.remove(wanted - 1);
        let aggregate = Aggregate { op, of, parameter: arguments.pop(), grouping, is_without };
        self.node(Kind::Aggregate(Box::new(aggregate)), span)
    }

    /// `by (...)` or `without (...)`, and where that ends.
    fn by(&mut self) -> Parsed<Option<(Grouping, Span)>> {
        if !self.is_grouping() {
            return Ok(None);
        }
        let is_without = self.advance()?.token == Token::Keyword(Keyword::Without);
        let (labels, span) = self.grouping_at()?;
        Ok(Some(((is_without, labels), span)))
    }

    /// What stands in the parentheses of a call, and where these end.
    fn arguments(&mut self) -> Parsed<(Vec<Expr>, Span)> {
        self.advance()?;
        let (mut arguments, mut is_more) = (Vec::new(), self.item.token != Token::RightParen);
        while is_more {
            arguments.push(self.expr(1)?);
            is_more = false;
            while let Some(comma) = self.accept(Token::Comma)? {
                is_more = !matches!(self.item.token, Token::RightParen | Token::Comma);
                if !is_more {
                    self.note(comma.span, "trailing commas not allowed in function call args");
                }
            }
        }
        let close = self.expect(Token::RightParen, "", "")?;
        Ok((arguments, close.span))
    }

    fn call(&mut self, name: Item<'a>) -> Parsed<Expr> {
        let (arguments, end) = self.arguments()?;
        let Some(function) = function(name.text) else {
            return self.stop(name.span, format!("unknown function with name {}", quote(name.text)));
        };
        self.node(Kind::Call(Call { function, arguments }), name.span.to(end))
    }

    /// Ranges, times and offsets behind an expression.
    fn modified(&mut self, mut expr: Expr) -> Parsed<Expr> {
        loop {
            expr = match self.item.token {
                Token::LeftBracket => self.ranged(expr)?,
                Token::Keyword(Keyword::Offset) => self.offset(expr)?,
                Token::At => self.at(expr)?,
                Token::Keyword(Keyword::Anchored) => self.extended(expr, Extension::Anchored)?,
                Token::Keyword(Keyword::Smoothed) => self.extended(expr, Extension::Smoothed)?,
                _ => return Ok(expr),
            };
        }
    }

    /// `[5m]` and `[1h:5m]`.
    fn ranged(&mut self, expr: Expr) -> Parsed<Expr> {
        let open = self.advance()?;
        let range = self.positive_length("subquery or range selector", "number, duration, step(), or range()")?;
        if self.accept(Token::Colon)?.is_some() {
            return self.subquery(expr, range);
        }
        let close = self.expect(Token::RightBracket, "subquery or range", "\":\" or \"]\"")?;
        let (start, brackets) = (expr.span, open.span.to(close.span));
        let Kind::Vector(selector) = expr.kind else {
            return self.stop(brackets, "ranges only allowed for vector selectors");
        };
        if selector.modifiers.offset.is_some() {
            return self.stop(brackets, "no offset modifiers allowed before range");
        }
        if selector.modifiers.at.is_some() {
            return self.stop(brackets, "no @ modifiers allowed before range");
        }
        let matrix = Matrix { selector: *selector, range };
        self.node(Kind::Matrix(Box::new(matrix)), start.to(close.span))
    }

    fn subquery(&mut self, of: Expr, range: Length) -> Parsed<Expr> {
        let start = of.span;
        let step = match self.item.token {
            Token::RightBracket => None,
            _ => Some(self.positive_length("subquery selector", "number, duration, step(), range(), or \"]\"")?),
        };
        let close = self.expect(Token::RightBracket, "subquery selector", "\"]\"")?;
        let subquery = Subquery { of, range, step, modifiers: Modifiers::default() };
        self.node(Kind::Subquery(Box::new(subquery)), start.to(close.span))
    }

    /// A number or a duration, if there is one: seconds, is it a duration, and where.
    pub(crate) fn number(&mut self) -> Parsed<Option<(f64, bool, Span)>> {
        let is_duration = match self.item.token {
            Token::Number => false,
            Token::Duration => true,
            _ => return Ok(None),
        };
        let item = self.advance()?;
        let value = match is_duration {
            true => parse_duration(item.text)
                .map(|ns| ns.div_euclid(1_000_000_000) as f64 + ns.rem_euclid(1_000_000_000) as f64 / 1e9),
            false => parse_number(item.text),
        };
        let value = value.unwrap_or_else(|message| {
            self.note(item.span, message);
            0.0
        });
        Ok(Some((value, is_duration, item.span)))
    }

    /// What stands in a literal.
    pub(crate) fn unquoted(&mut self, item: Item<'a>) -> String {
        unquote(item.text).unwrap_or_else(|| {
            self.note(item.span, format!("error unquoting string {}: invalid syntax", quote(item.text)));
            String::new()
        })
    }
}
