//! The series that pages had when they were scraped last. What a page does not have any more has ended, and so has all of it
//! where there is no page: its series get Prometheus' mark, so that PromQL does not show them for five minutes more.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use domain::metric::VALUE;
use tsdb::{Batch, STALE_MARK, SeriesRef};

/// The tags that say whose page it is.
type Whose = Vec<(String, String)>;

/// The series of every page that is scraped.
#[derive(Debug, Default)]
pub(crate) struct ScrapedSeries(Mutex<HashMap<Whose, Vec<SeriesRef>>>);

impl ScrapedSeries {
    /// Marks what was on the last page with these tags and is not on this one.
    pub(crate) fn mark_ended(&self, tags: &[(&str, &str)], page: &[SeriesRef], time: i64, batch: &mut Batch) {
        let pages = self.lock();
        let Some(before) = pages.get(&whose(tags)).filter(|before| *before != page) else { return };
        let still: HashSet<&SeriesRef> = page.iter().collect();
        for series in before.iter().filter(|series| !still.contains(series)) {
            // A table that was dropped meanwhile, or whose rows are too old, has no use for it.
            let _ = batch.push_sample(*series, time, VALUE, STALE_MARK);
        }
    }

    /// This page was stored, with the marks.
    pub(crate) fn keep(&self, tags: &[(&str, &str)], page: Vec<SeriesRef>) {
        match page.is_empty() {
            true => drop(self.lock().remove(&whose(tags))),
            false => drop(self.lock().insert(whose(tags), page)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Whose, Vec<SeriesRef>>> {
        self.0.lock().expect("nothing panics while it holds the series of pages")
    }
}

fn whose(tags: &[(&str, &str)]) -> Whose {
    tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
