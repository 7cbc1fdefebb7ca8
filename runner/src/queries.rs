//! The list of the queries that run and of the last ones that ended, with what they cost: what `system.queries` shows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How many queries that ended are kept.
const ENDED_MAX: usize = 200;
/// So much of a statement is kept, in bytes.
const STATEMENT_BYTES_MAX: usize = 2000;

/// The queries of a runner.
#[derive(Debug, Default)]
pub struct Queries(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    next: u64,
    running: BTreeMap<u64, (Query, Instant)>,
    ended: VecDeque<Query>,
}

/// A query and what it has cost so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Its number; each has its own.
    pub id: u64,
    /// What it is written in.
    pub language: Language,
    /// The beginning of what was asked.
    pub statement: String,
    /// The schema that it was asked in.
    pub schema: String,
    /// When it began, in ns since the epoch.
    pub started: i64,
    /// Until the plan was there, if there is one.
    pub planned_ms: Option<f64>,
    /// Until its end, or until now.
    pub total_ms: f64,
    /// Rows of its answer so far.
    pub rows: u64,
    /// Their size in memory.
    pub bytes: u64,
    /// Where it stands.
    pub state: State,
    /// Why it failed.
    pub error: Option<String>,
}

/// What queries are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// SQL.
    Sql,
    /// PromQL.
    PromQl,
}

impl Language {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Language::Sql => "sql",
            Language::PromQl => "promql",
        }
    }
}

/// Where a query stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It goes on.
    Running,
    /// All rows are out.
    Done,
    /// It was refused, or went wrong.
    Failed,
    /// Whoever asked went away.
    GivenUp,
}

impl State {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Done => "done",
            State::Failed => "failed",
            State::GivenUp => "given up",
        }
    }
}

/// A query while it runs. Dropped before it has ended, it was given up.
#[derive(Debug)]
pub struct Running {
    queries: Arc<Queries>,
    id: u64,
}

impl Queries {
    fn lock(&self) -> MutexGuard<'_, All> {
        // What a panic left half done are figures of one query.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A query begins.
    pub fn begin(self: &Arc<Queries>, language: Language, statement: &str, schema: &str) -> Running {
        let mut end = statement.len().min(STATEMENT_BYTES_MAX);
        while !statement.is_char_boundary(end) {
            end -= 1;
        }
        let mut all = self.lock();
        let id = all.next;
        all.next += 1;
        let query = Query {
            id,
            language,
            statement: statement[..end].into(),
            schema: schema.into(),
            started: tsdb::now_ns(),
            planned_ms: None,
            total_ms: 0.0,
            rows: 0,
            bytes: 0,
            state: State::Running,
            error: None,
        };
        all.running.insert(id, (query, Instant::now()));
        Running { queries: self.clone(), id }
    }

    /// All of them, the newest first.
    pub fn list(&self) -> Vec<Query> {
        let all = self.lock();
        let so_far = |(query, since): &(Query, Instant)| Query { total_ms: ms(*since), ..query.clone() };
        all.running.values().rev().map(so_far).chain(all.ended.iter().rev().cloned()).collect()
    }
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

impl Running {
    /// The plan is there.
    pub fn planned(&self) {
        if let Some((query, since)) = self.queries.lock().running.get_mut(&self.id) {
            query.planned_ms = Some(ms(*since));
        }
    }

    /// Rows are there, and what they take in memory. How many there are so far comes back.
    pub fn rows(&self, rows: u64, bytes: u64) -> u64 {
        let mut all = self.queries.lock();
        let Some((query, _)) = all.running.get_mut(&self.id) else { return 0 };
        query.rows += rows;
        query.bytes += bytes;
        query.rows
    }

    /// All rows are there, or it failed.
    pub fn end(&self, error: Option<String>) {
        self.finish(if error.is_some() { State::Failed } else { State::Done }, error);
    }

    fn finish(&self, state: State, error: Option<String>) {
        let mut all = self.queries.lock();
        let Some((mut query, since)) = all.running.remove(&self.id) else { return };
        query.total_ms = ms(since);
        (query.state, query.error) = (state, error);
        if all.ended.len() == ENDED_MAX {
            all.ended.pop_front();
        }
        all.ended.push_back(query);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish(State::GivenUp, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_how_each_query_ended() {
        let queries = Arc::new(Queries::default());
        queries.begin(Language::Sql, "a", "public").end(None);
        queries.begin(Language::Sql, "b", "public").end(Some("wrong".into()));
        drop(queries.begin(Language::Sql, "c", "public"));
        let running = queries.begin(Language::Sql, "d", "other");
        assert_eq!((running.rows(2, 10), running.rows(3, 10)), (2, 5));
        let listed = queries.list();
        let states: Vec<_> = listed.iter().map(|query| (query.statement.as_str(), query.state.name())).collect();
        assert_eq!(states, [("d", "running"), ("c", "given up"), ("b", "failed"), ("a", "done")]);
        assert_eq!((listed[0].rows, listed[0].bytes, listed[2].error.as_deref()), (5, 20, Some("wrong")));
    }

    #[test]
    fn only_the_last_ones_are_kept_and_only_the_beginning_of_a_statement() {
        let queries = Arc::new(Queries::default());
        for number in 0..ENDED_MAX + 10 {
            queries.begin(Language::Sql, &format!("{number}{}", "ä".repeat(STATEMENT_BYTES_MAX)), "public").end(None);
        }
        let listed = queries.list();
        assert_eq!((listed.len(), listed[0].id), (ENDED_MAX, ENDED_MAX as u64 + 9));
        assert!(listed.iter().all(|query| query.statement.len() <= STATEMENT_BYTES_MAX));
    }
}
