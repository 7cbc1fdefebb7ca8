//! Lengths of time in a question: ranges, steps, offsets, and what is computed of them.

use super::expr::{At, BinaryOp, Computed, Expr, Extension, Kind, Length, LengthOp, Modifiers};
use super::parser::{Parsed, Parser};
use super::span::Span;
use super::token::{Keyword, Preprocessor, Token};

/// Seconds that nanoseconds can hold.
const SECONDS_MAX: f64 = (1_u64 << 63) as f64 / 1e9;

impl Parser<'_> {
    /// A length above zero. What is read, and what may stand there, are for errors.
    pub(crate) fn positive_length(&mut self, within: &str, expected: &str) -> Parsed<Length> {
        let computed = self.computed(4, within, expected)?;
        if let LengthOp::Number(seconds, _) = computed.op
            && seconds <= 0.0
        {
            self.note(computed.span, "duration must be greater than 0");
        }
        Ok(length(computed))
    }

    /// `offset 5m` behind an expression.
    pub(crate) fn offset(&mut self, expr: Expr) -> Parsed<Expr> {
        self.advance()?;
        let computed = self.offset_length()?;
        let (span, end) = (expr.span, computed.span);
        let Some((mut expr, is_set)) = self.with_modifiers(expr, end, |modifiers| modifiers.offset.is_some()) else {
            return self.stop(
                span,
                "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
            );
        };
        if is_set {
            self.note(span, "offset may not be set multiple times");
        }
        if let Some(modifiers) = modifiers(&mut expr) {
            modifiers.offset = Some(length(computed)).filter(|length| *length != Length::Fixed(0));
        }
        Ok(expr)
    }

    /// The length of an offset. Unlike in brackets, operators behind a plain one belong to the expression around it:
    /// `a offset 5m + 3` is `(a offset 5m) + 3`. Behind a parenthesis they do not.
    fn offset_length(&mut self) -> Parsed<Computed> {
        const WITHIN: &str = "offset";
        const EXPECTED: &str = "number, duration, step(), or range()";
        if self.item.token == Token::LeftParen {
            return self.computed(4, WITHIN, EXPECTED);
        }
        let Some((is_negative, sign)) = self.sign()? else { return self.length_operand(WITHIN, EXPECTED) };
        let of = match self.item.token {
            Token::Op(BinaryOp::Add | BinaryOp::Sub) => self.computed(4, WITHIN, EXPECTED)?,
            _ => self.length_operand(WITHIN, EXPECTED)?,
        };
        Ok(self.signed_length(is_negative, sign, of))
    }

    /// An expression of lengths whose operators bind at least so tightly.
    fn computed(&mut self, least: u8, within: &str, expected: &str) -> Parsed<Computed> {
        self.below(|parser| parser.length_operators(least, within, expected))
    }

    fn length_operators(&mut self, least: u8, within: &str, expected: &str) -> Parsed<Computed> {
        let (mut left, mut operators) = (self.length_signed(within, expected)?, 0);
        while let Token::Op(sign) = self.item.token
            && let Some(op) = length_op(sign)
            && sign.precedence() >= least
        {
            let sign_span = self.advance()?.span;
            let next = if sign == BinaryOp::Pow { sign.precedence() } else { sign.precedence() + 1 };
            let right = self.computed(next, within, expected)?;
            if let (LengthOp::Div | LengthOp::Mod, LengthOp::Number(0.0, _)) = (op, right.op) {
                let what = if op == LengthOp::Div { "division" } else { "modulo" };
                self.note(sign_span, format!("{what} by zero"));
            }
            let span = left.span.to(right.span);
            left = Computed { op, of: vec![left, right], is_wrapped: false, span };
            operators += 1;
            self.within_limits(operators, span)?;
        }
        Ok(left)
    }

    fn length_signed(&mut self, within: &str, expected: &str) -> Parsed<Computed> {
        let Some((is_negative, sign)) = self.sign()? else { return self.length_operand(within, expected) };
        let of = self.computed(BinaryOp::Pow.precedence(), within, expected)?;
        Ok(self.signed_length(is_negative, sign, of))
    }

    /// A number, `step()`, `max_of(1m, 2m)`, or what stands in parentheses.
    fn length_operand(&mut self, within: &str, expected: &str) -> Parsed<Computed> {
        if let Some((value, is_duration, span)) = self.number()? {
            return Ok(self.in_range(value, is_duration, span));
        }
        let start = self.item.span;
        match self.item.token {
            Token::LeftParen => {
                self.advance()?;
                let inside = self.computed(4, within, expected)?;
                let span = start.to(self.expect(Token::RightParen, within, expected)?.span);
                Ok(wrapped(inside, span))
            }
            Token::Preprocessor(word @ (Preprocessor::Step | Preprocessor::Range)) => {
                self.advance()?;
                self.expect(Token::LeftParen, within, expected)?;
                let span = start.to(self.expect(Token::RightParen, within, expected)?.span);
                let op = if word == Preprocessor::Step { LengthOp::Step } else { LengthOp::Range };
                Ok(Computed { op, of: Vec::new(), is_wrapped: false, span })
            }
            Token::Preprocessor(word @ (Preprocessor::MaxOf | Preprocessor::MinOf)) => {
                self.advance()?;
                self.expect(Token::LeftParen, within, expected)?;
                let one = self.computed(4, within, expected)?;
                self.expect(Token::Comma, within, expected)?;
                let other = self.computed(4, within, expected)?;
                let span = start.to(self.expect(Token::RightParen, within, expected)?.span);
                let op = if word == Preprocessor::MaxOf { LengthOp::MaxOf } else { LengthOp::MinOf };
                Ok(Computed { op, of: vec![one, other], is_wrapped: false, span })
            }
            _ => self.unexpected(within, expected),
        }
    }

    /// A number of seconds that nanoseconds can hold.
    fn in_range(&mut self, value: f64, is_duration: bool, span: Span) -> Computed {
        let is_held = (-SECONDS_MAX..=SECONDS_MAX).contains(&value);
        if !is_held {
            self.note(span, "duration out of range");
        }
        let value = if is_held { value } else { 0.0 };
        Computed { op: LengthOp::Number(value, is_duration), of: Vec::new(), is_wrapped: false, span }
    }

    fn signed_length(&mut self, is_negative: bool, sign: Span, of: Computed) -> Computed {
        let span = sign.to(of.span);
        match of.op {
            LengthOp::Number(value, is_duration) if !of.is_wrapped => {
                self.in_range(if is_negative { -value } else { value }, is_duration, span)
            }
            _ if is_negative => Computed { op: LengthOp::Minus, of: vec![of], is_wrapped: false, span },
            _ => of,
        }
    }

    /// `@ 1234`, `@ start()` behind an expression.
    pub(crate) fn at(&mut self, expr: Expr) -> Parsed<Expr> {
        self.advance()?;
        let span = expr.span;
        let (at, end) = match self.item.token {
            Token::Preprocessor(word @ (Preprocessor::Start | Preprocessor::End)) => {
                self.advance()?;
                self.expect(Token::LeftParen, "@", "timestamp")?;
                let close = self.expect(Token::RightParen, "@", "timestamp")?;
                (if word == Preprocessor::Start { At::Start } else { At::End }, close.span)
            }
            _ => {
                let is_negative = self.sign()?.is_some_and(|(is_negative, _)| is_negative);
                let Some((value, _, end)) = self.number()? else { return self.unexpected("@", "timestamp") };
                let seconds = if is_negative { -value } else { value };
                if seconds.is_nan() || seconds.abs() >= i64::MAX as f64 {
                    self.note(span, format!("timestamp out of bounds for @ modifier: {}", fixed(seconds)));
                }
                (At::Time((seconds * 1000.0).round() as i64), end)
            }
        };
        let Some((mut expr, is_set)) = self.with_modifiers(expr, end, |modifiers| modifiers.at.is_some()) else {
            return self.stop(
                span,
                "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
            );
        };
        if is_set {
            return self.stop(span, "@ <timestamp> may not be set multiple times");
        }
        if let Some(modifiers) = modifiers(&mut expr) {
            modifiers.at = Some(at);
        }
        Ok(expr)
    }

    /// `anchored` and `smoothed` behind an expression.
    pub(crate) fn extended(&mut self, mut expr: Expr, extension: Extension) -> Parsed<Expr> {
        let word = if extension == Extension::Anchored { "anchored" } else { "smoothed" };
        let item = self.advance()?;
        debug_assert!(matches!(item.token, Token::Keyword(Keyword::Anchored | Keyword::Smoothed)));
        let span = expr.span;
        let selector = match &mut expr.kind {
            Kind::Vector(selector) => selector.as_mut(),
            Kind::Matrix(matrix) => &mut matrix.selector,
            Kind::Subquery(_) => return self.stop(span, format!("{word} modifier is not supported for subqueries")),
            _ => return self.stop(span, format!("{word} modifier not implemented")),
        };
        if selector.extension.replace(extension).is_some_and(|other| other != extension) {
            self.note(span, "anchored and smoothed modifiers cannot be used together");
        }
        expr.span = span.to(item.span);
        Ok(expr)
    }

    /// An expression that has a time, which then ends elsewhere, and whether something of its time is said already.
    fn with_modifiers(
        &mut self,
        mut expr: Expr,
        end: Span,
        is_set: impl Fn(&Modifiers) -> bool,
    ) -> Option<(Expr, bool)> {
        let is_set = is_set(modifiers(&mut expr)?);
        expr.span = expr.span.to(end);
        if let Kind::Vector(selector) = &mut expr.kind {
            selector.span = expr.span;
        }
        Some((expr, is_set))
    }
}

/// When an expression looks, if it is one that looks.
fn modifiers(expr: &mut Expr) -> Option<&mut Modifiers> {
    match &mut expr.kind {
        Kind::Vector(selector) => Some(&mut selector.modifiers),
        Kind::Matrix(matrix) => Some(&mut matrix.selector.modifiers),
        Kind::Subquery(subquery) => Some(&mut subquery.modifiers),
        _ => None,
    }
}

/// A plain number is known, all else has to be computed.
fn length(computed: Computed) -> Length {
    match computed.op {
        LengthOp::Number(seconds, _) => Length::Fixed((seconds * 1e9).round() as i64),
        _ => Length::Computed(computed),
    }
}

/// In parentheses. A plain number becomes something that has them.
fn wrapped(inside: Computed, span: Span) -> Computed {
    match inside.op {
        LengthOp::Number(..) => Computed { op: LengthOp::Plus, of: vec![inside], is_wrapped: true, span },
        _ => Computed { is_wrapped: true, ..inside },
    }
}

fn length_op(op: BinaryOp) -> Option<LengthOp> {
    Some(match op {
        BinaryOp::Add => LengthOp::Add,
        BinaryOp::Sub => LengthOp::Sub,
        BinaryOp::Mul => LengthOp::Mul,
        BinaryOp::Div => LengthOp::Div,
        BinaryOp::Mod => LengthOp::Mod,
        BinaryOp::Pow => LengthOp::Pow,
        _ => return None,
    })
}

/// As `%f` of Go.
fn fixed(number: f64) -> String {
    match number {
        f64::INFINITY => "+Inf".into(),
        _ if number.is_finite() => format!("{number:.6}"),
        f64::NEG_INFINITY => "-Inf".into(),
        _ => "NaN".into(),
    }
}
