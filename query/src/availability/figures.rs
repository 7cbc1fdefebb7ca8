//! Availability in figures, of a span of a timeline.

use super::timeline::{Excluded, Outage, Timeline};

/// Of the normal distribution: 95 % of it lie within so many standard deviations.
const Z: f64 = 1.959_963_984_540_054;

/// Sums over a span, in ns.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Figures {
    /// The span, up to now.
    pub span: i64,
    pub up: i64,
    pub down: i64,
    /// Up and down in maintenance.
    pub maintenance: [i64; 2],
    /// Up and down in other exclusions.
    pub excluded: [i64; 2],
    /// Slots that count.
    pub slots: f64,
    pub outages: i64,
    /// How long they lasted in the span, together and the longest.
    pub outage: i64,
    pub longest: i64,
}

impl Figures {
    /// The figures of `from..to`. The timeline has exclusions marked; what is excluded is also listed.
    pub(crate) fn of(timeline: &Timeline, outages: &[Outage], excluded: &[(i64, i64)], from: i64, to: i64) -> Figures {
        let mut figures = Figures { span: to.saturating_sub(from).max(0), ..Figures::default() };
        for run in timeline.within(from, to) {
            let Some(up) = run.up else { continue };
            let length = run.length();
            match run.excluded {
                Excluded::Maintenance => figures.maintenance[usize::from(!up)] += length,
                Excluded::Other => figures.excluded[usize::from(!up)] += length,
                Excluded::No => {
                    *if up { &mut figures.up } else { &mut figures.down } += length;
                    figures.slots += run.slots;
                }
            }
        }
        let first = outages.partition_point(|outage| outage.end <= from);
        for outage in outages[first..].iter().take_while(|outage| outage.start < to) {
            let counted = outage.counted(excluded, from, to);
            if counted > 0 {
                figures.outages += 1;
                figures.outage += counted;
                figures.longest = figures.longest.max(counted);
            }
        }
        figures
    }

    /// Time with a known state, excluded time with it.
    pub(crate) fn measured(&self) -> i64 {
        self.up + self.down + self.maintenance.iter().chain(&self.excluded).sum::<i64>()
    }

    /// Time up over time measured that counts; NULL if there is none.
    pub(crate) fn availability(&self) -> Option<f64> {
        part(self.up, self.down)
    }

    /// The same with exclusions counted that are no maintenance.
    pub(crate) fn without_maintenance(&self) -> Option<f64> {
        part(self.up + self.excluded[0], self.down + self.excluded[1])
    }

    /// The same with everything counted.
    pub(crate) fn raw(&self) -> Option<f64> {
        let [up, down] = [0, 1].map(|at| self.maintenance[at] + self.excluded[at]);
        part(self.up + up, self.down + down)
    }

    /// Between which values the availability lies with 95 % confidence, as slots are a sample of the time (Wilson,
    /// 1927).
    pub(crate) fn bounds(&self) -> Option<(f64, f64)> {
        let (part, count) = (self.availability()?, self.slots);
        let z2 = Z * Z / count;
        let middle = part + z2 / 2.0;
        let half = Z * (part * (1.0 - part) / count + z2 / (4.0 * count)).sqrt();
        let bound = |value: f64| (value / (1.0 + z2)).clamp(0.0, 1.0);
        (count > 0.0).then(|| (bound(middle - half).min(part), bound(middle + half).max(part)))
    }
}

fn part(up: i64, down: i64) -> Option<f64> {
    (up + down > 0).then(|| up as f64 / (up + down) as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::timeline::{Confirm, Run, Window, excluded_spans};
    use super::*;

    const TICKS: i64 = 120;

    /// A slot: start, length, what it says, whether it says that it does not count.
    type Slot = (i64, i64, Option<bool>, bool);

    fn timeline(slots: &[Slot]) -> Timeline {
        let mut timeline = Timeline::default();
        for (start, length, up, is_maintenance) in slots {
            let excluded = if *is_maintenance { Excluded::Maintenance } else { Excluded::No };
            timeline.push(Run { start: *start, end: start + length, up: *up, excluded, slots: 1.0 });
        }
        timeline
    }

    /// The same, looked up tick by tick: the last slot that has begun, if it still speaks.
    fn by_ticks(slots: &[Slot], windows: &[Window], from: i64, to: i64) -> Figures {
        let mut figures = Figures { span: to.saturating_sub(from), ..Figures::default() };
        for tick in from..to {
            let slot = slots.iter().rev().find(|(start, ..)| *start <= tick);
            let Some((_, _, Some(up), said)) = slot.filter(|(start, length, ..)| tick < start + length) else {
                continue;
            };
            let over =
                windows.iter().filter(|window| (window.start..window.end).contains(&tick)).map(|window| window.why);
            let said = if *said { Excluded::Maintenance } else { Excluded::No };
            match over.fold(said, Excluded::max) {
                Excluded::Maintenance => figures.maintenance[usize::from(!up)] += 1,
                Excluded::Other => figures.excluded[usize::from(!up)] += 1,
                Excluded::No if *up => figures.up += 1,
                Excluded::No => figures.down += 1,
            }
        }
        figures
    }

    fn slots() -> impl Strategy<Value = Vec<Slot>> {
        let up = prop_oneof![4 => Just(Some(true)), 3 => Just(Some(false)), 1 => Just(None)];
        let slot = (0..TICKS, 1..20i64, up, prop::bool::weighted(0.1));
        prop::collection::vec(slot, 0..30).prop_map(|mut slots| {
            slots.sort_by_key(|(start, ..)| *start);
            slots.dedup_by_key(|(start, ..)| *start);
            slots
        })
    }

    fn windows() -> impl Strategy<Value = Vec<Window>> {
        let why = prop_oneof![Just(Excluded::Maintenance), Just(Excluded::Other)];
        let window =
            (0..TICKS, 1..40i64, why).prop_map(|(start, length, why)| Window { start, end: start + length, why });
        prop::collection::vec(window, 0..4)
    }

    proptest! {
        #[test]
        fn figures_are_those_of_every_tick(slots in slots(), windows in windows(), from in 0..TICKS, length in 1..TICKS, bucket in 1..40i64) {
            let to = from + length;
            let timeline = timeline(&slots);
            let outages = timeline.outages(Confirm { bad: 1, of: 1 });
            let timeline = timeline.exclude(&windows);
            let excluded = excluded_spans(&timeline, &windows);
            let figures = |from, to| Figures::of(&timeline, &outages, &excluded, from, to);
            let sums = |figures: Figures| Figures { slots: 0.0, outages: 0, outage: 0, longest: 0, ..figures };
            let whole = figures(from, to);
            prop_assert_eq!(sums(whole), by_ticks(&slots, &windows, from, to));
            prop_assert!(whole.outage >= whole.down, "each bad slot that counts is in an outage: {whole:?}");
            prop_assert!(whole.longest <= whole.outage && whole.outage <= whole.span);
            // Buckets say what their spans say, and add up.
            let mut total = Figures::default();
            let mut start = from;
            while start < to {
                let part = figures(start, (start + bucket).min(to));
                total.up += part.up;
                total.down += part.down;
                total.outage += part.outage;
                total.span += part.span;
                start += bucket;
            }
            prop_assert_eq!((total.up, total.down, total.outage, total.span), (whole.up, whole.down, whole.outage, whole.span));
        }

        #[test]
        fn a_vote_of_three_alike_is_what_each_says(slots in slots()) {
            let one = timeline(&slots);
            let voted = Timeline::vote(vec![one.clone(), one.clone(), one.clone()]);
            let said = |timeline: &Timeline| timeline.0.iter().map(|run| (run.start, run.end, run.up, run.excluded)).collect::<Vec<_>>();
            prop_assert_eq!(said(&voted), said(&one));
            let confirm = Confirm { bad: 2, of: 3 };
            prop_assert_eq!(Timeline::voted_outages(&[one.clone(), one.clone()], confirm), one.outages(confirm));
        }
    }

    #[test]
    fn bounds_are_wilsons() {
        // 51 of 54: (0.94444 + 0.03557 -+ 0.07069) / 1.07114.
        let figures = Figures { up: 51, down: 3, slots: 54.0, ..Figures::default() };
        let (low, high) = figures.bounds().unwrap();
        assert!((low - 0.84892).abs() < 1e-4 && (high - 0.98093).abs() < 1e-4, "{low} {high}");
        // 99.99 % cannot be told from 100 % by a thousand slots.
        let (low, high) = Figures { up: 1000, slots: 1000.0, ..Figures::default() }.bounds().unwrap();
        assert!(low < 0.9999 && high == 1.0, "{low} {high}");
        assert_eq!(Figures::default().bounds(), None);
    }
}
