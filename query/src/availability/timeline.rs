//! What was known of a target when: runs of slots that say the same, and what follows from them.
//!
//! A slot speaks from its time on for its length, or until the next one. What no slot speaks for is unknown, and so is
//! a slot that was missed: neither up nor down.

use std::collections::VecDeque;

/// Why a time does not count, if it does not. The greater one counts where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Excluded {
    #[default]
    No,
    /// Force majeure and the like.
    Other,
    Maintenance,
}

/// Slots one after the other that say the same. Times are ns since the epoch; `end` is not part of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Run {
    pub start: i64,
    pub end: i64,
    /// None: there was a slot, but nothing is known.
    pub up: Option<bool>,
    pub excluded: Excluded,
    /// How many slots; a part of them where a run was cut.
    pub slots: f64,
}

/// A span of time that does not count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub start: i64,
    pub end: i64,
    pub why: Excluded,
}

/// How many of how many slots have to be bad for an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confirm {
    pub bad: usize,
    pub of: usize,
}

/// From the first bad slot to the first good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outage {
    pub start: i64,
    /// Of one that goes on: the end of what is known.
    pub end: i64,
    pub is_open: bool,
}

/// Runs in the order of time, none over another.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Timeline(pub Vec<Run>);

impl Run {
    pub(crate) fn length(&self) -> i64 {
        self.end.saturating_sub(self.start)
    }

    fn says_as(&self, other: &Run) -> bool {
        (self.up, self.excluded) == (other.up, other.excluded)
    }

    /// The part of it in `from..to`, with its part of the slots; nothing if it is outside.
    pub(crate) fn within(&self, from: i64, to: i64) -> Option<Run> {
        let (start, end) = (self.start.max(from), self.end.min(to));
        let part = end.saturating_sub(start) as f64 / self.length() as f64;
        (start < end).then_some(Run { start, end, slots: self.slots * part, ..*self })
    }
}

impl Timeline {
    /// Adds a run that starts no earlier than those before it. Slots that it meets speak until its start.
    pub(crate) fn push(&mut self, run: Run) {
        while let Some(last) = self.0.last_mut().filter(|last| last.start <= run.start) {
            last.end = last.end.min(run.start);
            if last.length() <= 0 {
                self.0.pop();
                continue;
            }
            if last.end == run.start && last.says_as(&run) {
                last.end = run.end;
                last.slots += run.slots;
                return;
            }
            break;
        }
        self.0.push(run);
    }

    /// One timeline of pieces of a series, in any order.
    pub(crate) fn join(pieces: Vec<Timeline>) -> Timeline {
        let mut runs: Vec<Run> = pieces.into_iter().flat_map(|piece| piece.0).collect();
        runs.sort_by_key(|run| run.start);
        let mut joined = Timeline::default();
        runs.into_iter().for_each(|run| joined.push(run));
        joined
    }

    /// What most of several see: down where more than half of those that know say so. Of one it is what that one says.
    pub(crate) fn vote(mut all: Vec<Timeline>) -> Timeline {
        if all.len() == 1 {
            return all.remove(0);
        }
        let mut edges: Vec<i64> = all.iter().flat_map(|one| &one.0).flat_map(|run| [run.start, run.end]).collect();
        edges.sort_unstable();
        edges.dedup();
        let mut places = vec![0; all.len()];
        let mut voted = Timeline::default();
        for edge in edges.windows(2) {
            let (start, end) = (edge[0], edge[1]);
            let (mut up, mut down, mut seen) = (0, 0, false);
            let mut run = Run { start, end, up: None, excluded: Excluded::No, slots: 0.0 };
            for (one, place) in all.iter().zip(&mut places) {
                while one.0.get(*place).is_some_and(|run| run.end <= start) {
                    *place += 1;
                }
                let Some(part) = one.0.get(*place).and_then(|run| run.within(start, end)) else { continue };
                seen = true;
                up += usize::from(part.up == Some(true));
                down += usize::from(part.up == Some(false));
                run.excluded = run.excluded.max(part.excluded);
                run.slots += if part.up.is_some() { part.slots } else { 0.0 };
            }
            run.up = (up + down > 0).then_some(down <= up);
            if seen {
                voted.push(run);
            }
        }
        voted
    }

    /// The same with what lies in windows marked as excluded.
    pub(crate) fn exclude(&self, windows: &[Window]) -> Timeline {
        if windows.is_empty() {
            return self.clone();
        }
        let mut edges: Vec<i64> = windows.iter().flat_map(|window| [window.start, window.end]).collect();
        edges.sort_unstable();
        let mut marked = Timeline::default();
        for run in &self.0 {
            let first = edges.partition_point(|edge| *edge <= run.start);
            let inside = edges[first..].iter().copied().take_while(|edge| *edge < run.end);
            let mut start = run.start;
            for end in inside.chain([run.end]) {
                let Some(part) = run.within(start, end) else { continue };
                let over = windows.iter().filter(|window| window.start <= start && end <= window.end);
                let excluded = over.map(|window| window.why).fold(part.excluded, Excluded::max);
                marked.push(Run { excluded, ..part });
                start = end;
            }
        }
        marked
    }

    /// The runs that reach into `from..to`, cut to it.
    pub(crate) fn within(&self, from: i64, to: i64) -> impl Iterator<Item = Run> {
        let first = self.0.partition_point(|run| run.end <= from);
        let inside = self.0[first..].iter().take_while(move |run| run.start < to);
        inside.filter_map(move |run| run.within(from, to))
    }

    /// The outages: bad slots that others near them confirm. Slots that lie further apart than they speak for do not
    /// confirm each other.
    pub(crate) fn outages(&self, confirm: Confirm) -> Vec<Outage> {
        let mut outages = Vec::new();
        // The start of each of the last slots, and whether it was bad.
        let mut recent: VecDeque<(i64, bool)> = VecDeque::with_capacity(confirm.of + 1);
        let mut open: Option<i64> = None;
        let mut known_until = i64::MIN;
        for run in self.0.iter().filter(|run| run.up.is_some()) {
            let length = run.length() as f64 / run.slots.max(1.0);
            if open.is_none() && run.start.saturating_sub(known_until) as f64 > confirm.of as f64 * length {
                recent.clear();
            }
            let is_bad = run.up == Some(false);
            if let Some(start) = open.take_if(|_| !is_bad) {
                outages.push(Outage { start, end: run.start, is_open: false });
                recent.clear();
            }
            for slot in 0..confirm.of.min(run.slots.round() as usize) {
                recent.push_back((run.start + (slot as f64 * length) as i64, is_bad));
                if recent.len() > confirm.of {
                    recent.pop_front();
                }
                let bad = recent.iter().filter(|(_, is_bad)| *is_bad);
                if open.is_none() && is_bad && bad.clone().count() >= confirm.bad {
                    open = bad.map(|(start, _)| *start).next();
                }
            }
            known_until = run.end;
        }
        outages.extend(open.map(|start| Outage { start, end: known_until, is_open: true }));
        outages
    }

    /// The outages that most of several see.
    pub(crate) fn voted_outages(all: &[Timeline], confirm: Confirm) -> Vec<Outage> {
        if let [one] = all {
            return one.outages(confirm);
        }
        let confirmed: Vec<Vec<Outage>> = all.iter().map(|one| one.outages(confirm)).collect();
        let states = all.iter().zip(&confirmed).map(|(one, outages)| {
            let run = |start, end, up| Run { start, end, up: Some(up), excluded: Excluded::No, slots: 1.0 };
            let known = one.0.iter().filter(|run| run.up.is_some()).map(|known| run(known.start, known.end, true));
            let windows: Vec<Window> = outages
                .iter()
                .map(|outage| Window { start: outage.start, end: outage.end, why: Excluded::Other })
                .collect();
            // What is known and in no outage is good.
            let good = Timeline(known.collect()).exclude(&windows).0.into_iter();
            let good = good.filter(|run| run.excluded == Excluded::No);
            let bad = outages.iter().map(|outage| run(outage.start, outage.end, false));
            Timeline::join(vec![Timeline(good.collect()), Timeline(bad.collect())])
        });
        let voted = Timeline::vote(states.collect());
        let last = voted.0.last().map(|run| run.end);
        let is_open = |end: i64| Some(end) == last && confirmed.iter().flatten().any(|outage| outage.is_open);
        let bad = voted.0.iter().filter(|run| run.up == Some(false));
        bad.map(|run| Outage { start: run.start, end: run.end, is_open: is_open(run.end) }).collect()
    }
}

/// The spans that do not count, by windows and by what slots themselves said: in order, none over another.
pub(crate) fn excluded_spans(timeline: &Timeline, windows: &[Window]) -> Vec<(i64, i64)> {
    let said = timeline.0.iter().filter(|run| run.excluded != Excluded::No).map(|run| (run.start, run.end));
    let mut spans: Vec<(i64, i64)> = said.chain(windows.iter().map(|window| (window.start, window.end))).collect();
    spans.sort_unstable();
    spans.dedup_by(|next, kept| {
        let meets = next.0 <= kept.1;
        kept.1 = if meets { kept.1.max(next.1) } else { kept.1 };
        meets
    });
    spans
}

impl Outage {
    /// How long of it in `from..to` counts, in ns.
    pub(crate) fn counted(&self, excluded: &[(i64, i64)], from: i64, to: i64) -> i64 {
        let (start, end) = (self.start.max(from), self.end.min(to));
        let first = excluded.partition_point(|(_, until)| *until <= start);
        let over = excluded[first..].iter().take_while(|(since, _)| *since < end);
        let excluded: i64 = over.map(|(since, until)| (*until).min(end) - (*since).max(start)).sum();
        (end - start - excluded).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIRM: Confirm = Confirm { bad: 2, of: 3 };

    /// Slots of ten units each: `+` up, `-` down, `?` missed, `m` up in maintenance, a space is no slot.
    fn timeline(text: &str) -> Timeline {
        let mut timeline = Timeline::default();
        for (at, sign) in text.chars().enumerate() {
            let (up, excluded) = match sign {
                '+' => (Some(true), Excluded::No),
                '-' => (Some(false), Excluded::No),
                'm' => (Some(true), Excluded::Maintenance),
                '?' => (None, Excluded::No),
                _ => continue,
            };
            timeline.push(Run { start: at as i64 * 10, end: at as i64 * 10 + 10, up, excluded, slots: 1.0 });
        }
        timeline
    }

    fn outages(text: &str) -> Vec<(i64, i64, bool)> {
        let outages = timeline(text).outages(CONFIRM).into_iter();
        outages.map(|outage| (outage.start, outage.end, outage.is_open)).collect()
    }

    #[test]
    fn outages_go_from_the_first_bad_slot_to_the_first_good_one() {
        assert_eq!(outages("+++--+++"), [(30, 50, false)]);
        assert_eq!(outages("+++-+++"), [], "one bad slot is not confirmed");
        assert_eq!(outages("-+-+++"), [(0, 30, false)], "two of three, with a good one between them");
        assert_eq!(outages("-++-++-"), []);
        assert_eq!(outages("++---"), [(20, 50, true)], "it goes on");
        assert_eq!(outages("+-?-+"), [(10, 40, false)], "a missed slot says nothing");
        assert_eq!(
            outages("--+--+"),
            [(0, 20, false), (30, 50, false)],
            "an outage that ended does not confirm the next"
        );
        assert_eq!(outages("+-      -+"), [], "too far apart");
        assert_eq!(outages("+--      -+"), [(10, 100, false)], "nobody saw it end before");
        assert_eq!(outages(""), []);
        assert_eq!(timeline("+-+").outages(Confirm { bad: 1, of: 1 }).len(), 1);
    }

    #[test]
    fn a_slot_speaks_until_the_next_one() {
        let mut timeline = Timeline::default();
        let slot = |start, up| Run { start, end: start + 100, up: Some(up), excluded: Excluded::No, slots: 1.0 };
        for run in [slot(0, true), slot(30, false), slot(30, true), slot(40, true), slot(200, true)] {
            timeline.push(run);
        }
        let runs: Vec<_> = timeline.0.iter().map(|run| (run.start, run.end, run.slots)).collect();
        assert_eq!(runs, [(0, 140, 3.0), (200, 300, 1.0)], "{timeline:?}");
    }

    #[test]
    fn pieces_in_any_order_are_one_timeline() {
        let whole = timeline("++--?m++ ++-");
        let pieces = |cut: i64| {
            let part = |from, to| Timeline(whole.within(from, to).collect());
            Timeline::join(vec![part(cut, 1000), part(0, cut)])
        };
        for cut in [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120] {
            assert_eq!(pieces(cut), whole, "cut at {cut}");
        }
    }

    #[test]
    fn most_decide() {
        let vote = |all: &[&str]| Timeline::vote(all.iter().map(|text| timeline(text)).collect());
        let states = |timeline: Timeline| timeline.0.iter().map(|run| (run.start, run.end, run.up)).collect::<Vec<_>>();
        assert_eq!(
            states(vote(&["+-- +", "+-+ ?", "+++ "])),
            [(0, 10, Some(true)), (10, 20, Some(false)), (20, 30, Some(true)), (40, 50, Some(true))]
        );
        assert_eq!(states(vote(&["-", "+"])), [(0, 10, Some(true))], "half is not most");
        assert_eq!(states(vote(&["?", " "])), [(0, 10, None)]);
        let all = ["+--+", "+--+", "++++"].map(timeline);
        let voted = Timeline::voted_outages(&all, CONFIRM);
        assert_eq!(voted, [Outage { start: 10, end: 30, is_open: false }]);
        let all = ["+--", "+--"].map(timeline);
        assert_eq!(Timeline::voted_outages(&all, CONFIRM), [Outage { start: 10, end: 30, is_open: true }]);
        let all = ["+--+", "++++"].map(timeline);
        assert_eq!(Timeline::voted_outages(&all, CONFIRM), []);
    }

    #[test]
    fn windows_mark_what_lies_in_them() {
        use Excluded::{Maintenance, No, Other};
        let windows = [
            Window { start: 5, end: 25, why: Other },
            Window { start: 15, end: 18, why: Maintenance },
            Window { start: 90, end: 100, why: Other },
        ];
        let marked = timeline("+++ +").exclude(&windows);
        let runs: Vec<_> = marked.0.iter().map(|run| (run.start, run.end, run.excluded)).collect();
        let expected = [(0, 5, No), (5, 15, Other), (15, 18, Maintenance), (18, 25, Other), (25, 30, No), (40, 50, No)];
        assert_eq!(runs, expected);
        assert!((marked.0.iter().map(|run| run.slots).sum::<f64>() - 4.0).abs() < 1e-9);
        assert_eq!(excluded_spans(&marked, &windows), [(5, 25), (90, 100)]);
        let outage = Outage { start: 0, end: 95, is_open: false };
        assert_eq!(outage.counted(&[(5, 25), (90, 100)], 10, 1000), 95 - 25 - 5);
        assert_eq!(outage.counted(&[(5, 25)], 10, 20), 0);
    }
}
