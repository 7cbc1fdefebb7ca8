//! What is scraped, on its way into the store.
//!
//! Every series gets the tags `job` and `instance`. Beside the page's own metrics there are `up`,
//! `scrape_duration_seconds` and `scrape_samples_scraped`, at the same time.

use std::sync::Arc;

use http_body_util::Full;
use ingest::exposition::Options;
use ingest::write::Ingest;
use web_probe::{Pages, Scrape, Stored};

/// Pages, stored under the times of their slots.
pub fn pages(ingest: Arc<Ingest>) -> Pages {
    Pages::new(move |scrape| {
        let ingest = ingest.clone();
        Box::pin(async move { store(&ingest, scrape).await })
    })
}

/// Stores a scrape. The error is why its page is none.
async fn store(ingest: &Ingest, scrape: Scrape) -> Result<Stored, String> {
    let tags: Vec<_> = scrape.tags.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let options = Options { now: scrape.time_ns, is_open_metrics: false, tags: &tags, ..Options::default() };
    let page = match scrape.page {
        None => None,
        Some(page) => Some(ingest.page(&page.headers, Full::new(page.body)).await),
    };
    let readable = page.as_ref().and_then(|page| page.as_ref().ok());
    let stored = ingest.scraped(readable, scrape.taken.as_secs_f64(), options).await;
    if let Some(Err(refusal)) = page {
        return Err(refusal.reason);
    }
    let report = match stored {
        Ok(report) => report,
        Err(error) => return Ok(Stored { trouble: Some(format!("not stored: {error}")), ..Stored::default() }),
    };
    let first = report.reasons.first().map(|first| format!("line {}: {}", first.line, first.reason));
    if report.took_nothing() {
        return Err(format!("no line of the page is a sample; {}", first.unwrap_or_default()));
    }
    let trouble = first.map(|first| format!("{} lines of the page are refused; {first}", report.refused));
    Ok(Stored { samples: report.taken, refused: report.refused, trouble })
}
