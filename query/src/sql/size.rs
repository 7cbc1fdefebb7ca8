//! How deep and how large a statement is, found out before anything recurses over it.
//!
//! Parsers, planners and what evaluates expressions call themselves for every level of a statement, and a stack that is
//! at its end takes the whole process down. So a statement is measured as the list of its tokens, in one pass, and
//! refused if it is too much: by its depth (`query.depth_max`) and by its words and signs once named subqueries are put
//! where they are used (`query.terms_max`).
//!
//! Both are bounds from above. A level is whatever makes trees deeper: a parenthesis, and in it every sign and keyword
//! since the last comma, as `1+1+1` is as deep as it is long; set operations and joins of one `SELECT`; what a named
//! subquery is made of. Values in lists are no levels.

use std::collections::HashMap;

use datafusion::error::{DataFusionError, Result};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Word};

/// How much a statement may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeLimits {
    /// Levels (`query.depth_max`).
    pub depth_max: usize,
    /// Words and signs, with named subqueries in the places where they are used (`query.terms_max`).
    pub terms_max: usize,
}

impl Default for SizeLimits {
    fn default() -> SizeLimits {
        SizeLimits { depth_max: 1000, terms_max: 50_000 }
    }
}

/// How much a statement is, or a part of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub depth: usize,
    pub terms: usize,
}

/// A parenthesis that is open, or the statement.
#[derive(Debug, Default)]
struct Level {
    /// What makes it deeper since the last comma, and for good.
    chain: usize,
    kept: usize,
    /// The deepest so far, below it too.
    deepest: usize,
    terms: usize,
    /// Does a comma join tables here?
    in_from: bool,
    /// The name of the subquery that it is, if a `WITH` gives it one.
    names: Option<String>,
}

impl Level {
    fn depth(&self) -> usize {
        1 + self.chain + self.kept
    }
}

/// Measures a statement.
///
/// # Errors
///
/// It is over a limit; the sentence names the knob.
pub(crate) fn measure<'a>(tokens: impl IntoIterator<Item = &'a Token>, limits: SizeLimits) -> Result<Size> {
    let mut known: HashMap<String, Size> = HashMap::new();
    let mut open: Vec<Level> = vec![Level::default()];
    // The word before, if it may be the name of a subquery: `name AS (`, `name (columns) AS (`.
    let mut name: Option<String> = None;
    let (mut before_as, mut after_columns) = (None, None);
    let mut terms = 0usize;
    for token in tokens {
        let is_nested = open.len() > 1;
        let level = open.last_mut().expect("the statement itself is never closed");
        match token {
            Token::Whitespace(_) => continue,
            Token::Comma => {
                level.chain = 0;
                level.kept += usize::from(level.in_from);
                (name, before_as) = (None, None);
            }
            Token::LParen | Token::LBracket | Token::LBrace => {
                let names = before_as.take();
                after_columns = name.take();
                let outer: usize = level.depth();
                open.push(Level { kept: outer, names, ..Level::default() });
                open.last_mut().expect("just pushed").deepest = outer + 1;
            }
            Token::RParen | Token::RBracket | Token::RBrace if is_nested => {
                let closed = open.pop().expect("there are two");
                let outer = open.last_mut().expect("there is one left");
                outer.terms = outer.terms.saturating_add(closed.terms);
                outer.deepest = outer.deepest.max(closed.deepest);
                // What comes behind is about it: `(...)[1][2]`, `f(...)::int`.
                outer.chain += 1;
                if let Some(subquery) = closed.names {
                    let depth = closed.deepest - outer.depth().min(closed.deepest);
                    known.insert(subquery, Size { depth, terms: closed.terms });
                }
                name = after_columns.take();
            }
            Token::Word(word) => {
                let used = level.word(word, &known);
                level.terms = level.terms.saturating_add(used);
                terms = terms.saturating_add(used);
                match word.keyword {
                    Keyword::AS => before_as = name.take(),
                    Keyword::MATERIALIZED | Keyword::NOT => {}
                    _ => (name, before_as) = (Some(spelled(word)), None),
                }
            }
            Token::Number(..) | Token::SingleQuotedString(_) | Token::NationalStringLiteral(_) => {
                (name, before_as) = (None, None);
            }
            _ => {
                level.chain += 1;
                level.terms += 1;
                terms += 1;
                (name, before_as) = (None, None);
            }
        }
        let level = open.last_mut().expect("the statement itself is never closed");
        level.deepest = level.deepest.max(level.depth());
        limits.check(level.deepest, terms)?;
    }
    Ok(Size { depth: open[0].deepest, terms })
}

/// As the planner reads names.
fn spelled(word: &Word) -> String {
    if word.quote_style.is_some() { word.value.clone() } else { word.value.to_lowercase() }
}

impl Level {
    /// How many words and signs it stands for.
    fn word(&mut self, word: &Word, known: &HashMap<String, Size>) -> usize {
        let subquery = known.get(&spelled(word)).copied().unwrap_or_default();
        self.kept = self.kept.saturating_add(subquery.depth);
        match word.keyword {
            _ if word.quote_style.is_some() => {}
            Keyword::NoKeyword => {}
            Keyword::FROM => (self.in_from, self.chain) = (true, 0),
            Keyword::SELECT | Keyword::WHERE | Keyword::GROUP | Keyword::HAVING | Keyword::ORDER | Keyword::LIMIT => {
                (self.in_from, self.chain) = (false, 0);
            }
            Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS | Keyword::JOIN => {
                self.kept += 1;
                self.chain = 0;
            }
            // Names and values that happen to be keywords, too.
            Keyword::TRUE | Keyword::FALSE | Keyword::NULL | Keyword::TIME | Keyword::AS => {}
            _ => self.chain += 1,
        }
        subquery.terms.saturating_add(1)
    }
}

impl SizeLimits {
    fn check(self, depth: usize, terms: usize) -> Result<()> {
        let SizeLimits { depth_max, terms_max } = self;
        let refused = match (depth > depth_max, terms > terms_max) {
            (true, _) => format!(
                "the statement is more than {depth_max} levels deep (query.depth_max): expected shorter chains of operators, joins, set operations, \
                 parentheses or subqueries; a list (IN, VALUES) is no level"
            ),
            (false, true) => format!(
                "the statement has more than {terms_max} words and signs, with named subqueries in the places where they are used (query.terms_max): \
                 expected a shorter one"
            ),
            (false, false) => return Ok(()),
        };
        Err(DataFusionError::Plan(refused))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn size(sql: &str) -> Result<Size> {
        let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().unwrap();
        measure(&tokens, SizeLimits::default())
    }

    #[test]
    fn chains_are_as_deep_as_they_are_long() {
        let chain = |part: &str, count: usize| format!("SELECT {}", vec!["x"; count].join(part));
        for part in [
            " + ",
            " AND ",
            " OR x = ",
            " || ",
            "::int + ",
            " IS NULL AND ",
            " UNION SELECT ",
            " JOIN t ON ",
            " EXCEPT SELECT ",
        ] {
            assert!(size(&chain(part, 2000)).is_err(), "{part}");
            assert!(size(&chain(part, 200)).unwrap().depth >= 200, "{part}");
        }
        for deep in ["(", "- ", "NOT ", "CASE WHEN "] {
            assert!(size(&format!("SELECT {}", deep.repeat(2000))).is_err(), "{deep}");
        }
        assert!(size(&format!("SELECT x{}", "::int".repeat(2000))).is_err());
        assert!(size(&format!("SELECT x{}", "[1]".repeat(2000))).is_err());
        assert!(size(&format!("SELECT 1 FROM t{}", ", t".repeat(2000))).is_err());
    }

    #[test]
    fn lists_are_no_levels() {
        let list = vec!["'a'"; 100_000].join(", ");
        let sized = size(&format!("SELECT * FROM t WHERE x IN ({list}) AND y IN ({list})")).unwrap();
        assert!(sized.depth < 10, "{sized:?}");
        let columns: Vec<String> = (0..3000).map(|at| format!("max(a{at}) AS b{at}")).collect();
        let sized = size(&format!("SELECT {} FROM t", columns.join(", "))).unwrap();
        assert!(sized.depth < 10, "{sized:?}");
    }

    /// `b` is twice `a`, `c` twice `b`, and so on: thirty lines are a billion tables.
    #[test]
    fn named_subqueries_count_where_they_are_used() {
        let doubled = |count: usize| {
            let each = (1..count).map(|at| format!("c{at} AS (SELECT * FROM c{0} AS a, c{0} AS b)", at - 1));
            let all: Vec<String> = std::iter::once("c0 AS (SELECT 1 AS x)".to_owned()).chain(each).collect();
            format!("WITH {} SELECT count(*) FROM c{}", all.join(", "), count - 1)
        };
        assert!(size(&doubled(30)).is_err());
        assert!(size(&doubled(4)).is_ok());
        let chained = |count: usize| {
            let each =
                (1..count).map(|at| format!("\"C{at}\" (x) AS NOT MATERIALIZED (SELECT x + 1 FROM \"C{}\")", at - 1));
            let all: Vec<String> = std::iter::once("\"C0\" AS (SELECT 1 AS x)".to_owned()).chain(each).collect();
            format!("WITH {} SELECT count(*) FROM \"C{}\"", all.join(", "), count - 1)
        };
        assert!(size(&chained(1500)).is_err());
        assert!(size(&chained(20)).is_ok());
    }

    #[test]
    fn what_people_write_is_small() {
        let sql = "WITH daily AS (SELECT time_bucket('1d', time) AS day, target, avg(total_ms) AS mean FROM probe WHERE up AND kind = 'http' GROUP BY 1, 2) \
            SELECT a.day, a.target, a.mean, b.mean FROM daily AS a JOIN daily AS b ON a.target = b.target AND a.day = b.day + INTERVAL '1 day' \
            WHERE CASE WHEN a.mean > 5 THEN b.mean / a.mean > 1.5 ELSE b.mean > 100 END ORDER BY 1, 2 LIMIT 10";
        let sized = size(sql).unwrap();
        assert!(sized.depth < 100 && sized.terms < 300, "{sized:?}");
    }
}
