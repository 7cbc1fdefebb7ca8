//! Questions at one time, and at many.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use runner::Memory;
use tsdb::{Store, now_ns};

use super::answered::Answered;
use super::error::ApiError;
use super::parameters::Parameters;
use crate::base::notes::Notes;
use crate::engine::{Allowance, Settings, Times, answer};
use crate::stored::{Metrics, Stored};
use crate::syntax::{Limits, parse};

/// So many steps a question has at the most.
const STEPS_MAX: i64 = 11_000;

/// Whoever waits for an answer. Once it is dropped, work that looks at its sign ends.
#[derive(Debug, Default)]
pub struct Waiting(Arc<AtomicBool>);

impl Waiting {
    /// Set when nobody waits any more.
    #[must_use]
    pub fn sign(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a request is answered from.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The store.
    pub store: &'a Store,
    /// What is known of its metrics.
    pub metrics: &'a Metrics,
    /// Whose metrics.
    pub schema: &'a str,
    /// What the request says.
    pub parameters: &'a Parameters,
    /// How questions are answered.
    pub settings: &'a Settings,
    /// How large they may be.
    pub limits: &'a Limits,
    /// When the answer has to be there.
    pub deadline: Instant,
    /// Whether nobody waits for the answer any more.
    pub is_given_up: &'a AtomicBool,
    /// What all questions may hold.
    pub memory: &'a Memory,
}

/// `query`: a question at one time.
///
/// # Errors
///
/// Parameters are wrong, or there is no answer.
pub fn query<'a>(asked: &Asked<'a>) -> Result<Answered<'a>, ApiError> {
    let now = now_ns().div_euclid(1_000_000);
    let time = asked.parameters.time("time")?.unwrap_or(now);
    asked.answer(Times::instant(time), false)
}

/// `query_range`: a question at many times.
///
/// # Errors
///
/// Parameters are wrong, or there is no answer.
pub fn query_range<'a>(asked: &Asked<'a>) -> Result<Answered<'a>, ApiError> {
    let (start_ms, end_ms) = (asked.parameters.needed_time("start")?, asked.parameters.needed_time("end")?);
    if end_ms < start_ms {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let missing = || ApiError::parameter("step", "cannot parse \"\" to a valid duration");
    let step_ms = asked.parameters.duration("step")?.ok_or_else(missing)?;
    if step_ms <= 0 {
        let message = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::parameter("step", message));
    }
    if (end_ms - start_ms) / step_ms > STEPS_MAX {
        return Err(ApiError {
            kind: super::Kind::BadData,
            message: "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
                .into(),
        });
    }
    asked.answer(Times { start_ms, end_ms, step_ms }, true)
}

impl<'a> Asked<'a> {
    /// What may be taken to answer it.
    pub(crate) fn allowance(&self) -> Allowance<'a> {
        Allowance::of(self.memory).until(self.deadline).unless(self.is_given_up)
    }

    fn answer(&self, times: Times, is_range: bool) -> Result<Answered<'a>, ApiError> {
        let text = self.parameters.get("query").unwrap_or_default();
        let limit = self.parameters.limit()?;
        let mut settings = *self.settings;
        if let Some(lookback_ms) = self.parameters.duration("lookback_delta")?.filter(|own| *own > 0) {
            settings.lookback_ms = lookback_ms;
        }
        let mut deadline = self.deadline;
        if let Some(ms) = self.parameters.duration("timeout")? {
            let own = std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0));
            deadline = deadline.min(Instant::now() + own);
        }
        let expr = parse(text, self.limits).map_err(|error| ApiError::parameter("query", error))?;
        let allowance = self.allowance().until(deadline);
        let stored = Stored::new(self.store, self.metrics, self.schema, &allowance);
        let mut notes = Notes::default();
        let found = answer(&expr, times, &settings, &stored, &allowance, &mut notes)?;
        let (mut warnings, infos) = notes.show(text);
        warnings.extend(stored.warnings());
        let limit = limit.unwrap_or(usize::MAX);
        let mut answered = Answered { answer: found, times, is_range, limit, warnings, infos, held: allowance };
        if answered.series() > limit {
            answered.warnings.push("results truncated due to limit".to_owned());
        }
        Ok(answered)
    }
}
