//! The words of a template.

use super::tree::TemplateError;

/// A word inside of `{{ }}`, or the text between two.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// A name: of a function, or a word of the language.
    Name(String),
    /// `$name`, without the `$`; empty for `$` itself
    Variable(String),
    /// `.name`; whether nothing stands before it, so that it is of `.`
    Field(String, bool),
    /// `.`
    Dot,
    Int(i64),
    Float(f64),
    Quoted(String),
    /// `(`, `)`, `|`, `,`, `:=`, `=`
    Sign(&'static str),
}

/// A word, and in which line it stands.
pub(super) type Placed = (Token, usize);

const SIGNS: [&str; 6] = [":=", "(", ")", "|", ",", "="];

/// All words of a template.
pub(super) fn words(text: &str) -> Result<Vec<Placed>, TemplateError> {
    let mut words = Vec::new();
    let (mut rest, mut line, mut trims) = (text, 1, false);
    while let Some((before, inside)) = rest.split_once("{{") {
        let trims_before = inside.starts_with('-') && inside[1..].starts_with(char::is_whitespace);
        push_text(before, trims, trims_before, line, &mut words);
        line += lines(before);
        let inside = if trims_before { &inside[1..] } else { inside };
        (rest, trims) = action(inside, trims_before, &mut line, &mut words)?;
    }
    push_text(rest, trims, false, line, &mut words);
    Ok(words)
}

fn lines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn push_text(text: &str, trims_start: bool, trims_end: bool, line: usize, words: &mut Vec<Placed>) {
    let text = if trims_start { text.trim_start() } else { text };
    let text = if trims_end { text.trim_end() } else { text };
    if !text.is_empty() {
        words.push((Token::Text(text.to_owned()), line));
    }
}

/// The words up to `}}`, what is behind it, and whether white space there does not count.
fn action<'a>(
    inside: &'a str,
    trims: bool,
    line: &mut usize,
    words: &mut Vec<Placed>,
) -> Result<(&'a str, bool), TemplateError> {
    // Directly behind `{{`, or behind `{{-` and one space.
    let trimmed = inside.strip_prefix([' ', '\t', '\r', '\n']).filter(|_| trims);
    if let Some(comment) = trimmed.unwrap_or(inside).strip_prefix("/*") {
        let Some((text, behind)) = comment.split_once("*/") else {
            return TemplateError::new(*line, "the comment has no end");
        };
        *line += lines(text);
        return match (behind.strip_prefix("}}"), end(behind.trim_start(), behind)) {
            (Some(rest), _) => Ok((rest, false)),
            (None, Some((rest, true))) => Ok((rest, true)),
            _ => TemplateError::new(*line, "a comment must end in */}}"),
        };
    }
    words.push((Token::Open, *line));
    let mut rest = inside;
    loop {
        let trimmed = rest.trim_start();
        *line += lines(&rest[..rest.len() - trimmed.len()]);
        if let Some(ended) = end(trimmed, rest) {
            words.push((Token::Close, *line));
            return Ok(ended);
        }
        if trimmed.is_empty() {
            return TemplateError::new(*line, "{{ without }}");
        }
        let is_first = rest.len() > trimmed.len() || rest.len() == inside.len() || follows_sign(words);
        let (token, behind) = word(trimmed, is_first, *line)?;
        *line += lines(&trimmed[..trimmed.len() - behind.len()]);
        words.push((token, *line));
        rest = behind;
    }
}

fn follows_sign(words: &[Placed]) -> bool {
    matches!(words.last(), Some((Token::Sign(sign), _)) if *sign != ")")
}

/// Behind `}}`, if it comes next.
fn end<'a>(trimmed: &'a str, rest: &str) -> Option<(&'a str, bool)> {
    match trimmed.strip_prefix("-}}") {
        Some(behind) if rest.len() > trimmed.len() => Some((behind, true)),
        _ => trimmed.strip_prefix("}}").map(|behind| (behind, false)),
    }
}

fn word(text: &str, is_first: bool, line: usize) -> Result<(Token, &str), TemplateError> {
    if let Some(sign) = SIGNS.into_iter().find(|sign| text.starts_with(sign)) {
        return Ok((Token::Sign(sign), &text[sign.len()..]));
    }
    let first = text.chars().next().unwrap_or_default();
    match first {
        '"' => quoted(text, line),
        '`' => match text[1..].split_once('`') {
            Some((own, behind)) => Ok((Token::Quoted(own.to_owned()), behind)),
            None => TemplateError::new(line, "a text in ` has no end"),
        },
        '\'' => character(text, line),
        '$' => {
            let (name, behind) = name_of(&text[1..]);
            Ok((Token::Variable(name.to_owned()), behind))
        }
        '.' if !text[1..].starts_with(|next: char| next.is_ascii_digit()) => {
            let (name, behind) = name_of(&text[1..]);
            Ok((if name.is_empty() { Token::Dot } else { Token::Field(name.to_owned(), is_first) }, behind))
        }
        '0'..='9' | '.' | '+' | '-' => number(text, line),
        _ if first.is_alphabetic() || first == '_' => {
            let (name, behind) = name_of(text);
            Ok((Token::Name(name.to_owned()), behind))
        }
        _ => TemplateError::new(line, format!("{first:?} has no meaning here")),
    }
}

fn name_of(text: &str) -> (&str, &str) {
    text.split_at(text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len()))
}

fn number(text: &str, line: usize) -> Result<(Token, &str), TemplateError> {
    let mut before = ' ';
    let end = text.find(|letter: char| {
        let is_sign = matches!(letter, '+' | '-') && matches!(before, ' ' | 'e' | 'E');
        before = letter;
        !(is_sign || letter.is_ascii_alphanumeric() || letter == '.' || letter == '_')
    });
    let (own, behind) = text.split_at(end.unwrap_or(text.len()));
    let plain = own.replace('_', "");
    let (sign, digits) = plain.strip_prefix('-').map_or((1, plain.as_str()), |digits| (-1, digits));
    let of_base = |prefix: &str, base| i64::from_str_radix(digits.strip_prefix(prefix)?, base).ok();
    let whole = of_base("0x", 16).or_else(|| of_base("0b", 2)).or_else(|| of_base("0o", 8)).map(|own| sign * own);
    if let Some(whole) = whole.or_else(|| plain.parse().ok()) {
        return Ok((Token::Int(whole), behind));
    }
    match plain.parse::<f64>() {
        Ok(value) if !own.ends_with(|letter: char| letter.is_alphabetic()) => Ok((Token::Float(value), behind)),
        _ => TemplateError::new(line, format!("{own:?} is no number")),
    }
}

fn quoted(text: &str, line: usize) -> Result<(Token, &str), TemplateError> {
    let mut value = String::new();
    let mut rest = &text[1..];
    loop {
        let mut letters = rest.chars();
        match letters.next() {
            Some('"') => return Ok((Token::Quoted(value), letters.as_str())),
            Some('\\') => rest = escaped(letters.as_str(), line, &mut value)?,
            None | Some('\n') => return TemplateError::new(line, "a text in \" has no end"),
            Some(letter) => {
                value.push(letter);
                rest = letters.as_str();
            }
        }
    }
}

/// One character in `'`: a number, as in Go.
fn character(text: &str, line: usize) -> Result<(Token, &str), TemplateError> {
    let (mut value, mut letters) = (String::new(), text[1..].chars());
    let rest = match letters.next() {
        Some('\\') => escaped(letters.as_str(), line, &mut value)?,
        Some(letter) => {
            value.push(letter);
            letters.as_str()
        }
        None => "",
    };
    match (rest.strip_prefix('\''), value.chars().next()) {
        (Some(behind), Some(letter)) => Ok((Token::Int(i64::from(u32::from(letter))), behind)),
        _ => TemplateError::new(line, "in ' stands one character"),
    }
}

/// What stands behind `\`, added; and the rest.
fn escaped<'a>(text: &'a str, line: usize, value: &mut String) -> Result<&'a str, TemplateError> {
    let unknown = || TemplateError { line, message: "after \\ comes none of a b f n r t v \\ ' \" x u U".into() };
    let first = text.chars().next().ok_or_else(unknown)?;
    let plain = match first {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '\'' | '"' => first,
        'x' | 'u' | 'U' => {
            let digits = match first {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            let code = text.get(1..=digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
            value.push(code.and_then(char::from_u32).ok_or_else(unknown)?);
            return Ok(&text[1 + digits..]);
        }
        _ => return Err(unknown()),
    };
    value.push(plain);
    Ok(&text[1..])
}
