//! Runs test scripts of Prometheus: what they load, what they ask, and what they expect.

mod kept;
mod points;
mod source;

use promql::base::labels::Labels;
use promql::base::notes::Notes;
use promql::engine::{Allowance, Answer, Settings, Times, answer};
use promql::model::notation;
use promql::model::points::{Points, Series};
use promql::model::samples::Sample;
use promql::syntax::{Kind, Limits, MatchOp, parse, parse_duration, parse_selector};
use regex::Regex;

use kept::Kept;
use points::same;
use source::Memory;

/// A question of a script, and what does not agree.
pub struct Case {
    pub line: usize,
    pub question: String,
    pub problem: Option<String>,
}

/// Milliseconds of `5m`, `-1m`, `1.5`.
fn ms(text: &str) -> i64 {
    let (text, sign) = text.strip_prefix('-').map_or((text, 1), |text| (text, -1));
    let seconds = text.parse::<f64>().map(|seconds| (seconds * 1000.0).round() as i64);
    sign * seconds.unwrap_or_else(|_| parse_duration(text).unwrap() / 1_000_000)
}

/// The labels that a line begins with, and what is behind them.
fn labels(line: &str) -> (Labels, &str) {
    let mut end = 0;
    let (mut is_inside, mut quote) = (false, None);
    let bytes = line.as_bytes();
    while let Some(byte) = bytes.get(end) {
        match (quote, byte) {
            (Some(mark), _) if *byte == mark => quote = None,
            (Some(_), b'\\') => end += 1,
            (Some(_), _) => {}
            (None, b'"' | b'\'' | b'`') => quote = Some(*byte),
            (None, b'{') if is_inside || bytes.get(end + 1) == Some(&b'{') => break,
            (None, b'{') => is_inside = true,
            (None, b'}') => {
                end += 1;
                break;
            }
            (None, b' ' | b'\t') if !is_inside => break,
            (None, b'@') if !is_inside => break,
            _ => {}
        }
        end += 1;
    }
    let selector = if end == 0 { "{}" } else { &line[..end] };
    let matchers = parse_selector(selector).unwrap_or_else(|error| panic!("{line}: {error}"));
    let pairs = matchers.into_iter().map(|matcher| match matcher.op {
        MatchOp::Equal(value) => (matcher.label, value),
        _ => panic!("{line}"),
    });
    (Labels::new(pairs), line[end..].trim())
}

/// What a question is expected to give.
#[derive(Default)]
struct Expected {
    fails: bool,
    is_ordered: bool,
    /// Of errors, warnings and infos: what one has to be like, or that there is none.
    notes: Vec<(String, Option<Regex>)>,
    series: Vec<(Labels, Vec<Option<Sample>>)>,
    scalar: Option<f64>,
    text: Option<String>,
    /// Samples instead of one value: their times.
    times: Option<Vec<i64>>,
}

/// How questions are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Of samples in memory.
    Memory,
    /// The same, and those at one time at five times around it, too: what is found at the step in the middle is the same.
    Ranges,
    /// Of samples in a store.
    Kept,
    /// Of samples in a store, sealed.
    Sealed,
}

/// All questions of a script.
pub fn run(script: &str, name: &str, mode: Mode) -> Vec<Case> {
    let lines: Vec<&str> =
        script.lines().map(|line| if line.trim().starts_with('#') { "" } else { line.trim() }).collect();
    let mut memory = Memory::default();
    let mut kept = matches!(mode, Mode::Kept | Mode::Sealed).then(|| Kept::new(mode == Mode::Sealed));
    // Whether all that was loaded is in the store.
    let mut is_whole = true;
    let mut cases = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let (line, number) = (lines[at], at + 1);
        at += 1;
        if line.is_empty() {
            continue;
        }
        if line == "clear" {
            memory = Memory::default();
            kept.iter_mut().for_each(Kept::clear);
            is_whole = true;
            continue;
        }
        let block: Vec<&str> = lines[at..].iter().copied().take_while(|line| !line.is_empty()).collect();
        at += block.len();
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(kind) = words[0].strip_prefix("load") {
            let loaded = memory.load(ms(words[1]), &block, kind == "_with_nhcb");
            is_whole &= kept.as_mut().is_none_or(|kept| kept.load(&loaded));
            continue;
        }
        let settings = Settings {
            delayed_name_removal: true,
            start_timestamps: true,
            type_and_unit_labels: name == "type_and_unit.test",
            ..Settings::default()
        };
        if !is_whole {
            continue;
        }
        let asking = Asking { mode, memory: &memory, kept: kept.as_ref(), settings };
        let (question, problem) = asking.ask(line, &words, &block);
        cases.push(Case { line: number, question, problem });
    }
    cases
}

struct Asking<'a> {
    mode: Mode,
    memory: &'a Memory,
    kept: Option<&'a Kept>,
    settings: Settings,
}

impl Asking<'_> {
    fn ask(&self, line: &str, words: &[&str], block: &[&str]) -> (String, Option<String>) {
        let rest = |count: usize| {
            (0..count).fold(line, |rest, _| rest.split_once(char::is_whitespace).unwrap().1.trim_start()).to_owned()
        };
        let expected = expectations(words[0], block);
        let (question, times) = match words[1] {
            "instant" if words[2] == "at" => (rest(4), Times::instant(ms(words[3]))),
            "instant" => (rest(2), Times::instant(0)),
            _ => {
                let times = Times { start_ms: ms(words[3]), end_ms: ms(words[5]), step_ms: ms(words[7]) };
                (rest(8), times)
            }
        };
        let mut notes = Notes::default();
        let found = self.answer(&question, times, &mut notes);
        let is_vector = matches!(&found, Ok(Answer::Series(_)));
        let mut problem = compare(&question, &expected, found, &notes, times);
        // Of these the span is another one then.
        let asks_of_span = ["range()", "step()", "start()", "end()"].iter().any(|word| question.contains(word));
        let is_asked_again =
            self.mode == Mode::Ranges && times.is_instant() && !expected.is_ordered && !expected.fails && !asks_of_span;
        if problem.is_none() && is_asked_again && is_vector {
            problem = self.around(&question, times.start_ms, &expected);
        }
        (question, problem)
    }

    fn answer(&self, question: &str, times: Times, notes: &mut Notes) -> Result<Answer, String> {
        let expr = parse(question, &Limits::default()).map_err(|error| error.to_string())?;
        let allowance = Allowance::default();
        let found = match self.kept {
            Some(kept) => answer(&expr, times, &self.settings, &kept.stored(&allowance), &allowance, notes),
            None => answer(&expr, times, &self.settings, self.memory, &allowance, notes),
        };
        found.map_err(|failure| failure.to_string())
    }

    /// The same question at five times: the one in the middle has to agree.
    fn around(&self, question: &str, at: i64, expected: &Expected) -> Option<String> {
        let times = Times { start_ms: at - 120_000, end_ms: at + 120_000, step_ms: 60_000 };
        let found = match self.answer(question, times, &mut Notes::default()) {
            Ok(Answer::Series(found)) => found,
            other => return Some(format!("as a range: {other:?}")),
        };
        let middle = |series: Series| {
            let mut points = Points::empty(1);
            points.set(0, series.points.get(2)?);
            Some(Series { points, ..series })
        };
        let found = Answer::Series(found.into_iter().filter_map(middle).collect());
        compare_values(expected, found, Times::instant(at)).map(|problem| format!("as a range: {problem}"))
    }
}

fn expectations(word: &str, block: &[&str]) -> Expected {
    let mut expected =
        Expected { fails: word == "eval_fail", is_ordered: word == "eval_ordered", ..Expected::default() };
    let kinds = [("eval_warn", "warn"), ("eval_info", "info")];
    expected.notes.extend(kinds.iter().filter(|(own, _)| *own == word).map(|(_, kind)| ((*kind).to_owned(), None)));
    for line in block {
        if line.starts_with("expected_fail_") {
            continue;
        }
        let Some(rest) = line.strip_prefix("expect ") else {
            value(line, &mut expected);
            continue;
        };
        if let Some(rest) = rest.strip_prefix("range vector from ") {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let (from, to, step) = (ms(words[0]), ms(words[2]), ms(words[4]));
            expected.times = Some((0..=(to - from) / step).map(|at| from + at * step).collect());
            continue;
        }
        if let Some(text) = rest.strip_prefix("string ") {
            let literal = parse(text.trim(), &Limits::default()).unwrap();
            let Kind::Text(text) = literal.kind else { panic!("{text}") };
            expected.text = Some(text);
            continue;
        }
        let (kind, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let rest = rest.trim();
        let pattern = match (rest.strip_prefix("msg:"), rest.strip_prefix("regex:")) {
            (Some(message), _) => Some(Regex::new(&regex::escape(message.trim())).unwrap()),
            (_, Some(pattern)) => Some(Regex::new(pattern.trim()).unwrap()),
            _ => None,
        };
        match kind {
            "ordered" => expected.is_ordered = true,
            "fail" => {
                expected.fails = true;
                expected.notes.push(("fail".into(), pattern));
            }
            kind => expected.notes.push((kind.into(), pattern)),
        }
    }
    expected
}

fn read(text: &str) -> Vec<Option<Sample>> {
    notation::points(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn value(line: &str, expected: &mut Expected) {
    let is_number = |text: &str| text.parse::<f64>().is_ok() || text.starts_with("0x");
    if line.split_whitespace().all(is_number) {
        let points = read(line);
        if let [Some(Sample::Float(value))] = points.as_slice() {
            expected.scalar = Some(*value);
        } else {
            expected.series.push((Labels::default(), points));
        }
        return;
    }
    let (labels, rest) = labels(line);
    expected.series.push((labels, read(rest)));
}

fn compare(
    question: &str,
    expected: &Expected,
    found: Result<Answer, String>,
    notes: &Notes,
    times: Times,
) -> Option<String> {
    let found = match found {
        Err(error) if expected.fails => {
            let wrong =
                expected.notes.iter().filter(|(kind, _)| kind == "fail").filter_map(|(_, pattern)| pattern.as_ref());
            return wrong
                .filter(|pattern| !pattern.is_match(&error))
                .map(|pattern| format!("{error} is not {pattern}"))
                .next();
        }
        Err(error) => return Some(error),
        Ok(_) if expected.fails => return Some("it should fail".into()),
        Ok(found) => found,
    };
    let (warnings, infos) = notes.show(question);
    for (kind, pattern) in &expected.notes {
        let (is_none, kind) = kind.strip_prefix("no_").map_or((false, kind.as_str()), |kind| (true, kind));
        let said = if kind == "warn" { &warnings } else { &infos };
        let is_like = |note: &String| pattern.as_ref().is_none_or(|pattern| pattern.is_match(note));
        if is_none && !said.is_empty() || !is_none && !said.iter().any(is_like) {
            return Some(format!("{kind} {pattern:?} {is_none}: {said:?}"));
        }
    }
    compare_values(expected, found, times)
}

fn compare_values(expected: &Expected, found: Answer, times: Times) -> Option<String> {
    if let Some(text) = &expected.text {
        return match &found {
            Answer::Text(own) if own == text => None,
            other => Some(format!("{other:?} is not {text:?}")),
        };
    }
    let steps: Vec<i64> = (0..times.steps()).map(|step| times.at(step)).collect();
    let found: Vec<(Labels, Vec<(i64, Sample)>)> = match found {
        Answer::Scalar(value) => vec![(Labels::default(), vec![(times.start_ms, Sample::Float(value))])],
        Answer::Text(text) => return Some(format!("the text {text}")),
        Answer::Series(all) => all
            .into_iter()
            .map(|series| (series.labels, series.points.iter().map(|(step, sample)| (steps[step], sample)).collect()))
            .collect(),
        Answer::Samples(all) => all
            .into_iter()
            .map(|(labels, samples)| {
                let floats =
                    samples.times.iter().zip(&samples.values).map(|(time, value)| (*time, Sample::Float(*value)));
                let histograms = samples.histograms.iter().map(|(time, own)| (*time, Sample::Histogram(own.clone())));
                let mut all: Vec<_> = floats.chain(histograms).collect();
                all.sort_by_key(|(time, _)| *time);
                (labels, all)
            })
            .collect(),
    };
    let times = expected.times.as_ref().unwrap_or(&steps);
    let mut wanted: Vec<(Labels, Vec<(i64, Sample)>)> = Vec::new();
    if let Some(value) = expected.scalar {
        let all = times.iter().map(|time| (*time, (Sample::Float(value)))).collect();
        wanted.push((Labels::default(), all));
    }
    for (labels, points) in &expected.series {
        let all = times.iter().zip(points).filter_map(|(time, point)| Some((*time, point.clone()?))).collect();
        wanted.push((labels.clone(), all));
    }
    wanted.retain(|(_, points)| !points.is_empty());
    let names = |all: Vec<String>| all.join(" ");
    let wanted_names: Vec<String> = wanted.iter().map(|(labels, _)| labels.to_string()).collect();
    let found_names: Vec<String> = found.iter().map(|(labels, _)| labels.to_string()).collect();
    if expected.is_ordered && wanted_names != found_names {
        return Some(format!("order {}", names(found_names)));
    }
    for (labels, points) in &wanted {
        let Some((_, own)) = found.iter().find(|(own, _)| own == labels) else {
            return Some(format!("no {labels} in {}", names(found_names)));
        };
        let (wanted_times, found_times): (Vec<i64>, Vec<i64>) =
            (points.iter().map(|(time, _)| *time).collect(), own.iter().map(|(time, _)| *time).collect());
        if wanted_times != found_times {
            return Some(format!("{labels} is there at {found_times:?}, not {wanted_times:?}"));
        }
        if let Some(((time, wanted), (_, own))) = points.iter().zip(own).find(|(wanted, own)| !same(&wanted.1, &own.1))
        {
            return Some(format!("{labels} at {time}: {own:?} is not {wanted:?}"));
        }
    }
    (found.len() != wanted.len()).then(|| format!("too much: {}", names(found_names)))
}
