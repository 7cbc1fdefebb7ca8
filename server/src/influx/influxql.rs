//! The statements of InfluxQL that clients make when they start, and what Grafana fills its lists with.
//!
//! `CREATE DATABASE`, `CREATE RETENTION POLICY`, and `SHOW` of databases, retention policies, measurements, tag keys,
//! field keys and tag values. Names are words, or texts in double quotes; all else is refused.

use regex::Regex;

/// Where everything else is asked for.
const SQL: &str = "rows are asked for in SQL: GET /api/v3/query_sql?q=SELECT ...";

/// A statement.
#[derive(Debug)]
pub(super) enum Statement {
    CreateDatabase(String),
    CreateRetentionPolicy,
    ShowDatabases,
    ShowUsers,
    ShowRetentionPolicies,
    /// One of the lists below, of a database if it is named.
    Show {
        list: List,
        database: Option<String>,
        from: Option<Name>,
        limit: usize,
        offset: usize,
    },
}

/// What is listed of a database.
#[derive(Debug)]
pub(super) enum List {
    Measurements,
    TagKeys,
    FieldKeys,
    /// The values of these tags.
    TagValues(Name),
}

/// Which names are meant.
#[derive(Debug)]
pub(super) enum Name {
    In(Vec<String>),
    NotIn(Vec<String>),
    Matching(Regex),
    NotMatching(Regex),
}

impl Name {
    pub(super) fn means(&self, name: &str) -> bool {
        let is_in = |names: &[String]| names.iter().any(|own| own == name);
        match self {
            Name::In(names) => is_in(names),
            Name::NotIn(names) => !is_in(names),
            Name::Matching(pattern) => pattern.is_match(name),
            Name::NotMatching(pattern) => !pattern.is_match(name),
        }
    }
}

/// The statements of a text, which semicolons divide.
///
/// # Errors
///
/// What is not known, in the words of InfluxDB.
pub(super) fn parse(text: &str) -> Result<Vec<Statement>, String> {
    let tokens = tokens(text).map_err(|error| format!("error parsing query: {error}; {SQL}"))?;
    let mut parser = Parser { tokens, at: 0 };
    let mut statements = Vec::new();
    loop {
        while parser.takes(";") {}
        if parser.peek().is_none() {
            return if statements.is_empty() { Err("missing required parameter \"q\"".into()) } else { Ok(statements) };
        }
        statements.push(parser.statement()?);
        if parser.peek().is_some() && !parser.takes(";") {
            return Err(parser.unexpected("; or the end"));
        }
    }
}

/// A part of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A word or a number, as it is written.
    Word(String),
    /// In double quotes: a name.
    Quoted(String),
    /// In single quotes: a text.
    Text(String),
    /// Between slashes.
    Pattern(String),
    Sign(&'static str),
}

const SIGNS: [&str; 10] = ["=~", "!~", "!=", "<>", "=", ";", ",", ".", "(", ")"];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' | '/' => {
                let (inner, length) = quoted(rest, first)?;
                tokens.push(match first {
                    '"' => Token::Quoted(inner),
                    '\'' => Token::Text(inner),
                    _ => Token::Pattern(inner),
                });
                length
            }
            _ if first.is_alphanumeric() || first == '_' => {
                let end = rest.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                end
            }
            _ => {
                let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
                let sign = sign.ok_or_else(|| format!("found {first}, which is not known here"))?;
                tokens.push(Token::Sign(sign));
                sign.len()
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// What stands between two quotes of a kind, and how long it is with them.
fn quoted(text: &str, quote: char) -> Result<(String, usize), String> {
    let mut inner = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        match char {
            _ if char == quote => return Ok((inner, at + 1)),
            '\\' => match chars.next() {
                Some((_, 'n')) if quote != '/' => inner.push('\n'),
                Some((_, next)) if next == quote || (next == '\\' && quote != '/') => inner.push(next),
                Some((_, next)) => inner.extend(['\\', next]),
                None => break,
            },
            _ => inner.push(char),
        }
    }
    Err(format!("the {quote} at '{}' is not closed", text.chars().take(20).collect::<String>()))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// Steps over a sign or a word, in whatever letters, if it is next.
    fn takes(&mut self, expected: &str) -> bool {
        let is_next = match self.peek() {
            Some(Token::Word(word)) => word.eq_ignore_ascii_case(expected),
            Some(Token::Sign(sign)) => *sign == expected,
            _ => false,
        };
        self.at += usize::from(is_next);
        is_next
    }

    fn takes_all(&mut self, words: &[&str]) -> bool {
        let start = self.at;
        let are_next = words.iter().all(|word| self.takes(word));
        if !are_next {
            self.at = start;
        }
        are_next
    }

    fn unexpected(&self, expected: &str) -> String {
        let found = match self.peek() {
            None => "EOF".to_owned(),
            Some(Token::Word(text) | Token::Quoted(text) | Token::Text(text) | Token::Pattern(text)) => text.clone(),
            Some(Token::Sign(sign)) => (*sign).to_owned(),
        };
        format!("error parsing query: found {found}, expected {expected}")
    }

    fn name(&mut self) -> Result<String, String> {
        let Some(Token::Word(name) | Token::Quoted(name)) = self.peek() else {
            return Err(self.unexpected("a name"));
        };
        let name = name.clone();
        self.at += 1;
        Ok(name)
    }

    fn statement(&mut self) -> Result<Statement, String> {
        if self.takes_all(&["create", "database"]) {
            let name = self.name()?;
            // What follows says how long rows are kept, which the configuration does here.
            self.skip_clauses();
            return Ok(Statement::CreateDatabase(name));
        }
        if self.takes_all(&["create", "retention", "policy"]) || self.takes_all(&["alter", "retention", "policy"]) {
            self.skip_clauses();
            return Ok(Statement::CreateRetentionPolicy);
        }
        if self.takes_all(&["show", "databases"]) {
            return Ok(Statement::ShowDatabases);
        }
        if self.takes_all(&["show", "users"]) {
            return Ok(Statement::ShowUsers);
        }
        if self.takes_all(&["show", "retention", "policies"]) {
            self.skip_clauses();
            return Ok(Statement::ShowRetentionPolicies);
        }
        if self.takes_all(&["show", "measurements"]) {
            let database = self.database()?;
            let from = if self.takes_all(&["with", "measurement"]) { Some(self.condition()?) } else { None };
            return self.listed(List::Measurements, database, from);
        }
        for (words, list) in [(["show", "tag", "keys"], List::TagKeys), (["show", "field", "keys"], List::FieldKeys)] {
            if self.takes_all(&words) {
                let (database, from) = self.database_and_from()?;
                return self.listed(list, database, from);
            }
        }
        if self.takes_all(&["show", "tag", "values"]) {
            let (database, from) = self.database_and_from()?;
            if !self.takes_all(&["with", "key"]) {
                return Err(self.unexpected("WITH KEY"));
            }
            let key = self.condition()?;
            return self.listed(List::TagValues(key), database, from);
        }
        let first =
            self.unexpected("CREATE DATABASE, or SHOW DATABASES, MEASUREMENTS, TAG KEYS, FIELD KEYS, TAG VALUES");
        Err(format!("{first}; {SQL}"))
    }

    /// Steps over all that is left of a statement.
    fn skip_clauses(&mut self) {
        while self.peek().is_some_and(|token| *token != Token::Sign(";")) {
            self.at += 1;
        }
    }

    fn database(&mut self) -> Result<Option<String>, String> {
        if self.takes("on") { self.name().map(Some) } else { Ok(None) }
    }

    /// `ON database`, `FROM measurement`, of which the name may have its database and retention policy before it.
    fn database_and_from(&mut self) -> Result<(Option<String>, Option<Name>), String> {
        let database = self.database()?;
        if !self.takes("from") {
            return Ok((database, None));
        }
        if let Some(Token::Pattern(_)) = self.peek() {
            return Ok((database, Some(Name::Matching(self.pattern()?))));
        }
        let mut names = Vec::new();
        let mut of_name = None;
        loop {
            let mut parts = vec![self.name()?];
            while self.takes(".") {
                // `database..measurement`
                parts.push(if self.takes(".") { String::new() } else { self.name()? });
                if parts.last().is_some_and(String::is_empty) {
                    parts.push(self.name()?);
                }
            }
            names.extend(parts.pop());
            if parts.len() > 1 {
                of_name = Some(parts.swap_remove(0));
            }
            if !self.takes(",") {
                return Ok((of_name.or(database), Some(Name::In(names))));
            }
        }
    }

    /// `= name`, `!= name`, `=~ /pattern/`, `!~ /pattern/`, `IN (name, name)`.
    fn condition(&mut self) -> Result<Name, String> {
        if self.takes("=") {
            return Ok(Name::In(vec![self.name()?]));
        }
        if self.takes("!=") || self.takes("<>") {
            return Ok(Name::NotIn(vec![self.name()?]));
        }
        if self.takes("=~") {
            return Ok(Name::Matching(self.pattern()?));
        }
        if self.takes("!~") {
            return Ok(Name::NotMatching(self.pattern()?));
        }
        if !self.takes_all(&["in", "("]) {
            return Err(self.unexpected("=, !=, =~, !~ or IN"));
        }
        let mut names = vec![self.name()?];
        while self.takes(",") {
            names.push(self.name()?);
        }
        if self.takes(")") { Ok(Name::In(names)) } else { Err(self.unexpected(")")) }
    }

    fn pattern(&mut self) -> Result<Regex, String> {
        let Some(Token::Pattern(text)) = self.peek() else { return Err(self.unexpected("/a regular expression/")) };
        let pattern = Regex::new(text).map_err(|error| format!("error parsing query: {error}"))?;
        self.at += 1;
        Ok(pattern)
    }

    fn number(&mut self) -> Result<usize, String> {
        let number = match self.peek() {
            Some(Token::Word(word)) => word.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.unexpected("a number"))?;
        self.at += 1;
        Ok(number)
    }

    fn listed(&mut self, list: List, database: Option<String>, from: Option<Name>) -> Result<Statement, String> {
        if self.takes("where") {
            return Err(format!("error parsing query: WHERE is not taken here; {SQL}"));
        }
        let limit = if self.takes("limit") { self.number()? } else { usize::MAX };
        let offset = if self.takes("offset") { self.number()? } else { 0 };
        // No limit is one of 0.
        let limit = if limit == 0 { usize::MAX } else { limit };
        Ok(Statement::Show { list, database, from, limit, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match parse(text) {
            Ok(statements) => format!("{statements:?}"),
            Err(error) => error,
        }
    }

    #[test]
    fn what_clients_ask_when_they_start_is_read() {
        for (text, expected) in [
            ("CREATE DATABASE \"telegraf\"", r#"[CreateDatabase("telegraf")]"#),
            ("create database x WITH DURATION 3d REPLICATION 1 NAME \"a\";", r#"[CreateDatabase("x")]"#),
            ("SHOW DATABASES; SHOW USERS", "[ShowDatabases, ShowUsers]"),
            ("SHOW RETENTION POLICIES ON \"x\"", "[ShowRetentionPolicies]"),
            (r#"CREATE DATABASE "a \"b\"""#, r#"[CreateDatabase("a \"b\"")]"#),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        for (text, expected) in [
            ("SHOW MEASUREMENTS LIMIT 1", "list: Measurements, database: None, from: None, limit: 1, offset: 0"),
            (
                "SHOW MEASUREMENTS ON x WITH MEASUREMENT =~ /c.*/ LIMIT 5 OFFSET 2",
                r#"database: Some("x"), from: Some(Matching(Regex("c.*"))), limit: 5, offset: 2"#,
            ),
            ("SHOW TAG KEYS FROM \"cpu\"", r#"list: TagKeys, database: None, from: Some(In(["cpu"]))"#),
            ("SHOW FIELD KEYS FROM x..cpu", r#"list: FieldKeys, database: Some("x"), from: Some(In(["cpu"]))"#),
            ("SHOW FIELD KEYS FROM \"x\".\"autogen\".\"cpu\"", r#"database: Some("x"), from: Some(In(["cpu"]))"#),
            ("SHOW TAG VALUES WITH KEY = \"host\"", r#"list: TagValues(In(["host"]))"#),
            ("SHOW TAG VALUES FROM cpu WITH KEY IN (a, \"b c\")", r#"list: TagValues(In(["a", "b c"]))"#),
        ] {
            assert!(shown(text).contains(expected), "{text}: {}", shown(text));
        }
    }

    #[test]
    fn all_else_is_refused_by_name() {
        for (text, expected) in [
            ("", "missing required parameter"),
            ("SELECT f FROM cpu", "found SELECT, expected CREATE DATABASE"),
            ("SELECT * FROM cpu", "found *, which is not known here; rows are asked for in SQL"),
            ("DROP DATABASE x", "asked for in SQL"),
            ("SHOW TAG VALUES WITH KEY = \"a\" WHERE x = 'y'", "WHERE is not taken"),
            ("SHOW DATABASES SHOW", "expected ;"),
            ("CREATE DATABASE", "found EOF, expected a name"),
            ("CREATE DATABASE \"x", "is not closed"),
            ("SHOW MEASUREMENTS WITH MEASUREMENT =~ /(/", "error parsing query"),
        ] {
            let said = shown(text);
            assert!(said.contains(expected), "{text}: {said}");
        }
    }
}
