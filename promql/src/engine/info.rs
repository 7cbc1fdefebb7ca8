//! `info`: labels of series that describe others, such as `target_info`.

use std::collections::{BTreeMap, HashMap};

use super::allowance::LABELS_BYTES;
use super::context::{Context, Failure, Wanted};
use crate::base::labels::{Labels, NAME};
use crate::model::points::Series;
use crate::model::samples::Sample;
use crate::syntax::{At, Expr, Kind, MatchOp, Matcher};

/// What a series and those that describe it have in common.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// `info(v)`, `info(v, {labels})`
pub(crate) fn info(context: &Context, arguments: &[Expr]) -> Result<Vec<Series>, Failure> {
    let all = context.vector(&arguments[0])?;
    let matchers = match arguments.get(1).map(|labels| &labels.unwrapped().kind) {
        Some(Kind::Vector(selector)) => selector.matchers.clone(),
        _ => Vec::new(),
    };
    let (names, data): (Vec<_>, Vec<_>) = matchers.into_iter().partition(|matcher| matcher.label == NAME);
    let names = match arguments.len() {
        1 => vec![Matcher::equal(NAME, "target_info")],
        _ => names,
    };
    let names = effective(names)?;
    let is_info = |labels: &Labels| names.iter().all(|matcher| matcher.matches(labels.metric()));
    let infos = fetched(context, &arguments[0], &all, &is_info, &data, &names)?;
    let join = Join { context, data: &data, has_selector: arguments.len() > 1 };
    join.joined(all, &is_info, &infos)
}

/// Names that say only what they are not are of metrics of info.
fn effective(mut names: Vec<Matcher>) -> Result<Vec<Matcher>, Failure> {
    if names.is_empty() {
        return Ok(vec![Matcher::equal(NAME, "target_info")]);
    }
    if !names.iter().any(|matcher| matches!(matcher.op, MatchOp::Equal(_) | MatchOp::Matches(_))) {
        let pattern = ".+_info".parse().map_err(Failure::from)?;
        names.insert(0, Matcher { label: NAME.into(), op: MatchOp::Matches(pattern) });
    }
    Ok(names)
}

/// A series that describes others: the time of its newest sample at every step.
struct Info {
    labels: Labels,
    times: Vec<Option<i64>>,
}

/// When the first selector of an expression looks, with what stands around it.
fn first_selector(expr: &Expr, at: Option<i64>, offset: i64) -> Option<(Option<i64>, i64)> {
    let fixed = |own: Option<At>| match own {
        Some(At::Time(ms)) => Some(ms),
        _ => None,
    };
    match &expr.kind {
        Kind::Vector(selector) => {
            let own = fixed(selector.modifiers.at);
            let own_offset = selector.modifiers.offset_ms();
            Some(if own.is_some() { (own, own_offset) } else { (at, offset + own_offset) })
        }
        Kind::Matrix(matrix) => {
            let own = fixed(matrix.selector.modifiers.at);
            let own_offset = matrix.selector.modifiers.offset_ms();
            Some(if own.is_some() { (own, own_offset) } else { (at, offset + own_offset) })
        }
        Kind::Subquery(subquery) => {
            let own = fixed(subquery.modifiers.at);
            let own_offset = subquery.modifiers.offset_ms();
            let (at, offset) = if own.is_some() { (own, own_offset) } else { (at, offset + own_offset) };
            first_selector(&subquery.of, at, offset)
        }
        _ => expr.children().find_map(|child| first_selector(child, at, offset)),
    }
}

/// The series that describe these.
fn fetched(
    context: &Context,
    of: &Expr,
    all: &[Series],
    is_info: &dyn Fn(&Labels) -> bool,
    data: &[Matcher],
    names: &[Matcher],
) -> Result<Vec<Info>, Failure> {
    let mut matchers = Vec::new();
    for name in IDENTIFYING {
        let values = all.iter().filter(|series| !is_info(&series.labels)).map(|series| series.labels.get(name));
        let mut values: Vec<String> = values.filter(|value| !value.is_empty()).map(escaped).collect();
        values.sort();
        values.dedup();
        if !values.is_empty() {
            let pattern = values.join("|").parse().map_err(Failure::from)?;
            matchers.push(Matcher { label: name.into(), op: MatchOp::Matches(pattern) });
        }
    }
    if matchers.is_empty() {
        return Ok(Vec::new());
    }
    matchers.extend(data.iter().chain(names).cloned());
    let (at, offset) = first_selector(of, None, 0).unwrap_or((None, 0));
    let looks = |step: usize| at.unwrap_or_else(|| context.times.at(step)) - offset;
    let lookback = context.settings.lookback_ms;
    let steps = context.steps();
    let mut infos = Vec::new();
    let (after_ms, until_ms) = (looks(0) - lookback, looks(steps - 1));
    let wanted = Wanted { is_newest: steps == 1, ..Wanted::all(&matchers, after_ms, until_ms) };
    context.source.select(wanted, &mut |labels, samples| {
        context.allowance.check()?;
        context.allowance.take(steps * size_of::<Option<i64>>() + LABELS_BYTES)?;
        let mut times = vec![None; steps];
        for (step, time) in times.iter_mut().enumerate() {
            match samples.newest(looks(step)).filter(|(time, ..)| *time > looks(step) - lookback) {
                Some((found, Sample::Float(value), _)) if !tsdb::is_stale_mark(value) => *time = Some(found),
                Some((_, Sample::Histogram(own), _)) if !tsdb::is_stale_mark(own.sum) => {
                    return Failure::new(format!("this should be an info metric, with float samples: {labels}"));
                }
                _ => {}
            }
        }
        infos.push(Info { labels, times });
        Ok(())
    })?;
    Ok(infos)
}

fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|letter| [letter.is_ascii_punctuation().then_some('\\'), Some(letter)].into_iter().flatten())
        .collect()
}

struct Join<'a> {
    context: &'a Context<'a>,
    data: &'a [Matcher],
    has_selector: bool,
}

impl Join<'_> {
    fn joined(
        &self,
        all: Vec<Series>,
        is_info: &dyn Fn(&Labels) -> bool,
        infos: &[Info],
    ) -> Result<Vec<Series>, Failure> {
        let identity = |labels: &Labels| IDENTIFYING.map(|name| labels.get(name).to_owned());
        let mut by_identity: HashMap<_, Vec<&Info>> = HashMap::new();
        infos.iter().for_each(|info| by_identity.entry(identity(&info.labels)).or_default().push(info));
        let mut joined = Vec::new();
        for series in all {
            if is_info(&series.labels) {
                joined.push(series);
                continue;
            }
            let infos = by_identity.get(&identity(&series.labels)).map_or(&[][..], Vec::as_slice);
            let mut places: BTreeMap<Labels, usize> = BTreeMap::new();
            for (step, sample) in series.points.iter() {
                let Some(labels) = self.labels(&series.labels, infos, step)? else { continue };
                let place = match places.get(&labels) {
                    Some(place) => *place,
                    None => {
                        let points = self.context.points()?;
                        joined.push(Series { labels: labels.clone(), drops_name: series.drops_name, points });
                        places.insert(labels, joined.len() - 1);
                        joined.len() - 1
                    }
                };
                joined[place].points.set(step, sample);
            }
        }
        super::settle::merged(joined)
    }

    /// The labels of a series at a step, with those of the newest of each name that describes it; `None` where it should be
    /// described, and is not.
    fn labels(&self, own: &Labels, infos: &[&Info], step: usize) -> Result<Option<Labels>, Failure> {
        let mut newest: BTreeMap<&str, &Info> = BTreeMap::new();
        for info in infos {
            let Some(time) = info.times[step] else { continue };
            match newest.get(info.labels.metric()) {
                Some(known) if known.times[step] > Some(time) => {}
                Some(known) if known.times[step] == Some(time) => {
                    let (one, other) = (&known.labels, &info.labels);
                    return Failure::new(format!(
                        "found duplicate series for info metric: existing {one} @ {time}, new {other} @ {time}"
                    ));
                }
                _ => {
                    newest.insert(info.labels.metric(), info);
                }
            }
        }
        if newest.is_empty() && self.data.iter().any(|matcher| !matcher.matches("")) {
            return Ok(None);
        }
        let mut added: BTreeMap<&str, &str> = BTreeMap::new();
        for info in newest.values() {
            for (name, value) in info.labels.iter().filter(|(name, _)| *name != NAME) {
                let is_asked =
                    !self.has_selector || self.data.is_empty() || self.data.iter().any(|own| own.label == name);
                if !is_asked {
                    continue;
                }
                if added.get(name).is_some_and(|known| *known != value) {
                    return Failure::new(format!("conflicting label: {name}"));
                }
                if own.get(name).is_empty() {
                    added.insert(name, value);
                }
            }
        }
        Ok(Some(added.into_iter().fold(own.clone(), |labels, (name, value)| labels.with(name, value))))
    }
}
