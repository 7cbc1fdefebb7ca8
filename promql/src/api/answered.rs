//! An answer on its way out, as JSON that is written piece by piece: a large one is never in memory as one text.

use super::json::{self, Stamps};
use crate::engine::{Allowance, Answer, Times};

/// A piece of an answer has about so many bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// An answer, with the memory that it takes.
#[derive(Debug)]
pub struct Answered<'a> {
    pub(crate) answer: Answer,
    pub(crate) times: Times,
    pub(crate) is_range: bool,
    /// So many series are shown.
    pub(crate) limit: usize,
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
    /// Given back with it.
    #[expect(dead_code, reason = "held for its end")]
    pub(crate) held: Allowance<'a>,
}

impl Answered<'_> {
    /// Its text in pieces of some size.
    #[must_use]
    pub fn pieces(&self) -> Pieces<'_> {
        let is_matrix = self.is_range && matches!(self.answer, Answer::Series(_));
        let stamps = if is_matrix { Stamps::of(self.times) } else { Stamps::default() };
        Pieces { answered: self, stamps, next: 0, has_begun: false, is_done: false }
    }

    /// How many series it has.
    pub(crate) fn series(&self) -> usize {
        match &self.answer {
            Answer::Series(all) => all.len(),
            Answer::Samples(all) => all.len(),
            Answer::Scalar(_) | Answer::Text(_) => 0,
        }
    }

    fn kind(&self) -> &'static str {
        match &self.answer {
            Answer::Scalar(_) => "scalar",
            Answer::Text(_) => "string",
            Answer::Series(_) if !self.is_range => "vector",
            Answer::Series(_) | Answer::Samples(_) => "matrix",
        }
    }
}

/// The text of an answer, piece by piece.
#[derive(Debug)]
pub struct Pieces<'a> {
    answered: &'a Answered<'a>,
    /// What stands before the value of each step.
    stamps: Stamps,
    /// The series that comes next.
    next: usize,
    has_begun: bool,
    is_done: bool,
}

impl Pieces<'_> {
    /// Was that all?
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// About how long the next piece will be, of so many series that are left.
    fn bytes_likely(&self, left: usize) -> usize {
        const BESIDE_BYTES: usize = 256;
        const SAMPLE_BYTES: usize = 28;
        let of_series = self.answered.times.steps().saturating_mul(SAMPLE_BYTES).saturating_add(BESIDE_BYTES);
        left.saturating_mul(of_series).saturating_add(BESIDE_BYTES).min(PIECE_BYTES + of_series.min(PIECE_BYTES))
    }

    fn begin(&mut self, text: &mut String) {
        let Answered { answer, times, .. } = self.answered;
        text.push_str(json::SUCCESS);
        text.push_str(&format!(r#"{{"resultType":"{}","result":["#, self.answered.kind()));
        match answer {
            Answer::Scalar(value) => json::float_inside(times.start_ms, *value, text),
            Answer::Text(own) => {
                json::time(times.start_ms, text);
                text.push_str(&format!(",{}", json::quoted(own)));
            }
            Answer::Series(_) | Answer::Samples(_) => {}
        }
    }

    fn series(&self, at: usize, text: &mut String) {
        let Answered { answer, times, is_range, .. } = self.answered;
        if at > 0 {
            text.push(',');
        }
        match answer {
            Answer::Series(all) if *is_range => json::matrix(&all[at], *times, &self.stamps, text),
            Answer::Series(all) => json::vector(&all[at], *times, text),
            Answer::Samples(all) => json::window(&all[at].0, &all[at].1, text),
            Answer::Scalar(_) | Answer::Text(_) => {}
        }
    }
}

impl Iterator for Pieces<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.is_done {
            return None;
        }
        let shown = self.answered.series().min(self.answered.limit);
        let mut text = String::with_capacity(self.bytes_likely(shown - self.next));
        if !std::mem::replace(&mut self.has_begun, true) {
            self.begin(&mut text);
        }
        while self.next < shown && text.len() < PIECE_BYTES {
            self.series(self.next, &mut text);
            self.next += 1;
        }
        if self.next == shown {
            text.push_str("]}");
            json::end(&self.answered.warnings, &self.answered.infos, &mut text);
            self.is_done = true;
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::labels::Labels;
    use crate::model::points::{Points, Series};

    fn answered(answer: Answer, is_range: bool, limit: usize) -> Answered<'static> {
        let (warnings, infos) = (vec!["so \"so\"".to_owned()], Vec::new());
        let times = Times { start_ms: 1500, end_ms: 1500, step_ms: 1 };
        Answered { answer, times, is_range, limit, warnings, infos, held: Allowance::default() }
    }

    #[test]
    fn the_type_comes_before_the_result() {
        let text: String = answered(Answer::Scalar(1e21), false, usize::MAX).pieces().collect();
        let data = r#"{"resultType":"scalar","result":[1.500,"1e+21"]}"#;
        assert_eq!(text, format!(r#"{{"status":"success","data":{data},"warnings":["so \"so\""]}}"#));
        let text: String = answered(Answer::Text("a".into()), false, usize::MAX).pieces().collect();
        assert!(text.contains(r#"{"resultType":"string","result":[1.500,"a"]}"#), "{text}");
        let text: String = answered(Answer::Series(Vec::new()), true, usize::MAX).pieces().collect();
        assert!(text.contains(r#"{"resultType":"matrix","result":[]}"#), "{text}");
    }

    #[test]
    fn pieces_together_are_the_text() {
        let series = |number: usize| {
            let labels = Labels::new([("n", number.to_string())]);
            Series { labels, drops_name: false, points: Points::constant(1, number as f64) }
        };
        for is_range in [true, false] {
            let all = answered(Answer::Series((0..5000).map(series).collect()), is_range, 4000);
            let pieces: Vec<String> = all.pieces().collect();
            assert!(pieces.len() > 2 && pieces.iter().all(|piece| piece.len() < 2 * PIECE_BYTES));
            let read: serde_json::Value = serde_json::from_str(&pieces.concat()).unwrap();
            let shown = read["data"]["result"].as_array().unwrap();
            assert_eq!((shown.len(), &shown[3999]["metric"]["n"]), (4000, &"3999".into()));
        }
    }
}
