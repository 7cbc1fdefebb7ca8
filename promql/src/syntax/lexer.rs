//! From a text to tokens.

use super::expr::BinaryOp;
use super::quote::{quote, quote_char};
use super::span::Span;
use super::token::{Item, Keyword, Preprocessor, Token};

/// Where the end of a text is read, as Go shows it.
const NOTHING: char = '\u{fffd}';

/// Reads tokens. What a sign means depends on the brackets that it stands in.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    /// The next byte.
    at: usize,
    /// The first byte of the token at hand.
    start: usize,
    parens: usize,
    is_brace_open: bool,
    is_bracket_open: bool,
    /// Is the start of a bracket read, where nothing but durations may stand?
    is_duration: bool,
    has_colon: bool,
    has_duration: bool,
}

/// What is wrong, from where on.
pub(crate) type Wrong = (Span, String);

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Lexer<'a> {
        Lexer {
            text,
            at: 0,
            start: 0,
            parens: 0,
            is_brace_open: false,
            is_bracket_open: false,
            is_duration: false,
            has_colon: false,
            has_duration: false,
        }
    }

    /// The next token.
    pub(crate) fn next(&mut self) -> Result<Item<'a>, Wrong> {
        self.skip();
        self.start = self.at;
        let token = if self.is_duration {
            self.in_duration()
        } else if self.is_brace_open {
            self.in_braces()
        } else {
            self.in_statement()
        }?;
        Ok(Item { token, text: &self.text[self.start..self.at], span: Span { start: self.start, end: self.at } })
    }

    /// Spaces, and comments where they may stand.
    fn skip(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\n' | '\r') => self.at += 1,
                Some('#') if !self.is_duration => {
                    let rest = &self.text[self.at..];
                    self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    fn in_statement(&mut self) -> Result<Token, Wrong> {
        let Some(letter) = self.peek() else {
            return match (self.parens, self.is_bracket_open) {
                (0, false) => Ok(Token::End),
                (0, true) => self.wrong("unclosed left bracket"),
                _ => self.wrong("unclosed left parenthesis"),
            };
        };
        if letter.is_ascii_digit()
            || (letter == '.' && self.peek_second().is_some_and(|second| second.is_ascii_digit()))
        {
            return self.number();
        }
        if letter.is_ascii_alphabetic() || matches!(letter, '_' | ':') {
            return self.word(letter);
        }
        self.at += letter.len_utf8();
        match letter {
            '(' | ')' => self.paren(letter),
            ',' => Ok(Token::Comma),
            '*' => Ok(Token::Op(BinaryOp::Mul)),
            '/' => Ok(Token::Op(BinaryOp::Div)),
            '%' => Ok(Token::Op(BinaryOp::Mod)),
            '+' => Ok(Token::Op(BinaryOp::Add)),
            '-' => Ok(Token::Op(BinaryOp::Sub)),
            '^' => Ok(Token::Op(BinaryOp::Pow)),
            '@' => Ok(Token::At),
            '=' => match self.peek() {
                Some('=') => Ok(self.second(Token::Op(BinaryOp::Eq))),
                Some('~') => self.wrong("unexpected character after '=': '~'"),
                _ => Ok(Token::Equal),
            },
            '!' => match self.peek() {
                Some('=') => Ok(self.second(Token::Op(BinaryOp::Ne))),
                other => {
                    self.wrong(&format!("unexpected character after '!': {}", quote_char(other.unwrap_or(NOTHING))))
                }
            },
            '<' => match self.peek() {
                Some('=') => Ok(self.second(Token::Op(BinaryOp::Le))),
                Some('/') => Ok(self.second(Token::Op(BinaryOp::TrimUpper))),
                _ => Ok(Token::Op(BinaryOp::Lt)),
            },
            '>' => match self.peek() {
                Some('=') => Ok(self.second(Token::Op(BinaryOp::Ge))),
                Some('/') => Ok(self.second(Token::Op(BinaryOp::TrimLower))),
                _ => Ok(Token::Op(BinaryOp::Gt)),
            },
            '"' | '\'' | '`' => self.string(letter),
            '{' => {
                self.is_brace_open = true;
                Ok(Token::LeftBrace)
            }
            '[' if self.is_bracket_open => self.wrong("unexpected left bracket '['"),
            '[' => {
                (self.is_bracket_open, self.is_duration, self.has_colon) = (true, true, false);
                Ok(Token::LeftBracket)
            }
            ']' if !self.is_bracket_open => self.wrong("unexpected right bracket ']'"),
            ']' => {
                self.is_bracket_open = false;
                Ok(Token::RightBracket)
            }
            _ => self.wrong(&format!("unexpected character: {}", quote_char(letter))),
        }
    }

    fn paren(&mut self, letter: char) -> Result<Token, Wrong> {
        if letter == '(' {
            self.parens += 1;
            return Ok(Token::LeftParen);
        }
        match self.parens.checked_sub(1) {
            Some(parens) => {
                self.parens = parens;
                Ok(Token::RightParen)
            }
            None => {
                self.start = self.at;
                self.wrong("unexpected right parenthesis ')'")
            }
        }
    }

    /// A word, or what stands behind the duration in brackets.
    fn word(&mut self, letter: char) -> Result<Token, Wrong> {
        if self.is_bracket_open {
            self.at += 1;
            return match letter {
                ':' if self.has_colon => self.wrong("unexpected colon ':'"),
                ':' => {
                    self.has_colon = true;
                    Ok(Token::Colon)
                }
                _ => match self.duration_word() {
                    Some(token) => Ok(token),
                    None => self.wrong(&format!("unexpected character: {}, expected ':'", quote_char(letter))),
                },
            };
        }
        let word = self.take(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':'));
        let token = match Token::of_word(&word.to_ascii_lowercase()) {
            // `fill` was a name before it was a modifier.
            Some(Token::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight)) if !self.is_called() => None,
            token => token,
        };
        let named = if word.contains(':') { Token::MetricIdentifier } else { Token::Identifier };
        Ok(token.unwrap_or(named))
    }

    /// Does a parenthesis follow?
    fn is_called(&self) -> bool {
        self.text[self.at..].trim_start_matches([' ', '\t', '\n', '\r']).starts_with('(')
    }

    /// `step`, `range`, `max_of`, `min_of`, whose first letter is read.
    fn duration_word(&mut self) -> Option<Token> {
        self.take(|letter| letter.is_ascii_alphabetic() || letter == '_');
        match Token::of_word(&self.text[self.start..self.at].to_ascii_lowercase()) {
            Some(Token::Preprocessor(Preprocessor::Start | Preprocessor::End)) => None,
            token @ Some(Token::Preprocessor(_)) => token,
            _ => None,
        }
    }

    /// From a left bracket to the first number.
    fn in_duration(&mut self) -> Result<Token, Wrong> {
        let Some(letter) = self.peek() else {
            return self.wrong("unexpected end of input in duration expression");
        };
        if letter.is_ascii_digit()
            || (letter == '.' && self.peek_second().is_some_and(|second| second.is_ascii_digit()))
        {
            (self.has_duration, self.is_duration) = (true, false);
            return self.number();
        }
        self.at += letter.len_utf8();
        match letter {
            ']' => {
                (self.is_bracket_open, self.is_duration, self.has_colon) = (false, false, false);
                Ok(Token::RightBracket)
            }
            ':' if !self.has_duration => {
                self.start = self.at;
                self.wrong("unexpected colon before duration in duration expression")
            }
            ':' if self.has_colon => {
                self.start = self.at;
                self.wrong("unexpected repeated colon in duration expression")
            }
            ':' => {
                self.has_colon = true;
                Ok(Token::Colon)
            }
            '(' | ')' => self.paren(letter),
            '+' => Ok(Token::Op(BinaryOp::Add)),
            '-' => Ok(Token::Op(BinaryOp::Sub)),
            '*' => Ok(Token::Op(BinaryOp::Mul)),
            '/' => Ok(Token::Op(BinaryOp::Div)),
            '%' => Ok(Token::Op(BinaryOp::Mod)),
            '^' => Ok(Token::Op(BinaryOp::Pow)),
            ',' => Ok(Token::Comma),
            _ => match letter.is_ascii_alphabetic().then(|| self.duration_word()).flatten() {
                Some(token) => Ok(token),
                None => self.wrong(&format!("unexpected character in duration expression: {}", quote_char(letter))),
            },
        }
    }

    fn in_braces(&mut self) -> Result<Token, Wrong> {
        let Some(letter) = self.peek() else {
            return self.wrong("unexpected end of input inside braces");
        };
        if letter.is_ascii_alphabetic() || letter == '_' {
            self.take(|letter| letter.is_ascii_alphanumeric() || letter == '_');
            return Ok(Token::Identifier);
        }
        self.at += letter.len_utf8();
        match letter {
            ',' => Ok(Token::Comma),
            '"' | '\'' | '`' => self.string(letter),
            '=' if self.peek() == Some('~') => Ok(self.second(Token::EqualRegex)),
            '=' => Ok(Token::Equal),
            '!' => match self.peek() {
                Some('~') => Ok(self.second(Token::NotEqualRegex)),
                Some('=') => Ok(self.second(Token::Op(BinaryOp::Ne))),
                other => self.wrong(&format!(
                    "unexpected character after '!' inside braces: {}",
                    quote_char(other.unwrap_or(NOTHING))
                )),
            },
            '{' => self.wrong("unexpected left brace '{'"),
            '}' => {
                self.is_brace_open = false;
                Ok(Token::RightBrace)
            }
            _ => self.wrong(&format!("unexpected character inside braces: {}", quote_char(letter))),
        }
    }

    /// A literal, whose first quote is read.
    fn string(&mut self, mark: char) -> Result<Token, Wrong> {
        loop {
            let Some(letter) = self.peek() else {
                return self.wrong(if mark == '`' { "unterminated raw string" } else { "unterminated quoted string" });
            };
            self.at += letter.len_utf8();
            match letter {
                _ if letter == mark => return Ok(Token::Text),
                '\n' if mark != '`' => return self.wrong("unterminated quoted string"),
                '\\' if mark != '`' => self.escape(mark)?,
                _ => {}
            }
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self, mark: char) -> Result<(), Wrong> {
        let Some(letter) = self.peek() else { return self.wrong("escape sequence not terminated") };
        self.at += letter.len_utf8();
        let (digits, base) = match letter {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            _ if letter == mark => return Ok(()),
            '0'..='7' => {
                self.at -= 1;
                (3, 8)
            }
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            _ => return self.wrong(&format!("unknown escape sequence {}", code_point(letter))),
        };
        let mut code: u32 = 0;
        for _ in 0..digits {
            let Some(letter) = self.peek() else { return self.wrong("escape sequence not terminated") };
            let Some(digit) = letter.to_digit(base) else {
                return self.wrong(&format!("illegal character {} in escape sequence", code_point(letter)));
            };
            code = code.wrapping_mul(base).wrapping_add(digit);
            self.at += 1;
        }
        let is_byte = matches!(letter, 'x' | '0'..='7');
        if (is_byte && code > 255) || (!is_byte && char::from_u32(code).is_none()) {
            return self.wrong("escape sequence is an invalid Unicode code point");
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Token, Wrong> {
        if self.scan_number() {
            return Ok(Token::Number);
        }
        if self.scan_units() {
            return Ok(Token::Duration);
        }
        let end = self.text[..].char_indices().map(|(at, _)| at).find(|at| *at >= self.at).unwrap_or(self.text.len());
        self.wrong(&format!("bad number or duration syntax: {}", quote(&self.text[self.start..end])))
    }

    /// A number in any form; what is wrong with its value shows later.
    fn scan_number(&mut self) -> bool {
        let mut is_hex = false;
        if self.accept("0") && self.accept("xX") {
            self.accept("_");
            is_hex = true;
        }
        let digits = if is_hex { "0123456789abcdefABCDEF" } else { "0123456789" };
        self.accept(".");
        self.accept(digits);
        let (mut has_dot, mut has_exponent) = (false, false);
        while let Some(letter) = self.peek().filter(|letter| digits.contains(*letter) || "._eE".contains(*letter)) {
            match letter {
                '.' if has_dot => {
                    self.accept(".");
                    return false;
                }
                'e' | 'E' if has_exponent => {
                    self.accept("eE");
                    return false;
                }
                '.' => {
                    self.at += 1;
                    has_dot = true;
                    if self.accept("_.") || is_hex {
                        return false;
                    }
                }
                'e' | 'E' => {
                    self.at += 1;
                    has_exponent = true;
                    self.accept("+-");
                    if self.accept("._eE") || self.peek().is_none() {
                        return false;
                    }
                }
                '_' => {
                    self.at += 1;
                    if self.accept("._eE") || self.peek().is_none() {
                        return false;
                    }
                }
                _ => {
                    self.take(|letter| digits.contains(letter));
                }
            }
        }
        !self.peek().is_some_and(is_alphanumeric)
    }

    /// Units behind a number, and more numbers with units.
    fn scan_units(&mut self) -> bool {
        if !self.accept("smhdwy") {
            return false;
        }
        self.accept("s");
        while self.accept("0123456789") {
            self.take(|letter| letter.is_ascii_digit());
            if !self.accept("smhdw") {
                return false;
            }
            self.accept("s");
        }
        match self.peek().filter(|letter| is_alphanumeric(*letter)) {
            // Shown in the error.
            Some(_) => {
                self.at += 1;
                false
            }
            None => true,
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn peek_second(&self) -> Option<char> {
        self.text[self.at..].chars().nth(1)
    }

    /// Takes the next letter, which is ASCII, if it is one of these.
    fn accept(&mut self, letters: &str) -> bool {
        let is_one = self.peek().is_some_and(|letter| letters.contains(letter));
        self.at += usize::from(is_one);
        is_one
    }

    fn take(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let (text, from) = (self.text, self.at);
        self.at += text[from..].find(|letter| !is_part(letter)).unwrap_or(text.len() - from);
        &text[from..self.at]
    }

    /// The second letter of a sign.
    fn second(&mut self, token: Token) -> Token {
        self.at += 1;
        token
    }

    fn wrong<T>(&self, message: &str) -> Result<T, Wrong> {
        Err((Span { start: self.start, end: self.text.len() }, message.to_owned()))
    }
}

fn is_alphanumeric(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// `U+0063 'c'`.
fn code_point(letter: char) -> String {
    format!("U+{:04X} '{letter}'", u32::from(letter))
}
