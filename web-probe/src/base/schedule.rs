//! The open-loop schedule: slots at fixed times, whatever the probes before them did.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

const NS_PER_MS: i64 = 1_000_000;

/// One scheduled probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// When it should start, ns since the epoch; also the time of its row.
    pub start_ns: i64,
    /// When the next one should.
    pub end_ns: i64,
}

/// The slots of a target: a grid in time that depends on nothing but its name and interval, so that a restart
/// continues it, and targets of one interval do not all start at once. Slots start at whole milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    offset_ns: i64,
    interval_ns: i64,
}

impl Schedule {
    /// The schedule of the target with this name.
    ///
    /// # Panics
    ///
    /// If the interval is shorter than 1 ms or longer than 292 years.
    pub fn new(name: &str, interval: Duration) -> Schedule {
        let interval_ns = i64::try_from(interval.as_nanos()).expect("an interval fits 292 years");
        assert!(interval_ns >= NS_PER_MS, "an interval is at least a millisecond");
        let offset_ms = xxh3_64(name.as_bytes()) % (interval_ns / NS_PER_MS) as u64;
        Schedule { offset_ns: offset_ms as i64 * NS_PER_MS, interval_ns }
    }

    /// The slot that `at_ns` lies in.
    pub fn slot_at(&self, at_ns: i64) -> Slot {
        let start_ns = at_ns - (at_ns - self.offset_ns).rem_euclid(self.interval_ns);
        Slot { start_ns, end_ns: start_ns + self.interval_ns }
    }

    /// What is left of a slot a moment from now, if that is worth it. Targets begin with it spread over
    /// [`SPREAD_NS`](Self::SPREAD_NS), or half of what is left.
    pub(crate) fn rest(&self, slot: Slot, now_ns: i64) -> Option<Slot> {
        let left_ns = slot.end_ns - now_ns;
        if left_ns < Schedule::REST_NS_MIN {
            return None;
        }
        let room_ns = (left_ns / 2).min(Schedule::SPREAD_NS);
        // At a whole millisecond, as all slots.
        let start_ns = now_ns + self.offset_ns % room_ns;
        let start_ns = start_ns + (-start_ns).rem_euclid(NS_PER_MS);
        Some(Slot { start_ns, end_ns: slot.end_ns })
    }

    /// So long it takes until all targets have begun.
    const SPREAD_NS: i64 = 2_000 * NS_PER_MS;
    /// What is left of a slot is not worth a check if it is shorter.
    const REST_NS_MIN: i64 = 100 * NS_PER_MS;

    /// The slot behind this one.
    pub fn next(&self, slot: Slot) -> Slot {
        Slot { start_ns: slot.end_ns, end_ns: slot.end_ns + self.interval_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 150 targets all began in the first millisecond, and their first rows spoke of the time before the start.
    #[test]
    fn what_is_left_of_a_slot_begins_a_moment_from_now() {
        let mut starts = Vec::new();
        let now = 1_767_225_600_000_000_000 + 123;
        for number in 0..150 {
            let schedule = Schedule::new(&format!("t{number}"), Duration::from_secs(30));
            let slot = schedule.slot_at(now);
            let Some(rest) = schedule.rest(slot, now) else { continue };
            assert!(rest.start_ns >= now && rest.end_ns == slot.end_ns && rest.start_ns < rest.end_ns, "{rest:?}");
            assert_eq!(schedule.next(rest), schedule.next(slot));
            starts.push(rest.start_ns - now);
        }
        let within = |from: i64, to: i64| starts.iter().filter(|start| (from..to).contains(*start)).count();
        for part in 0..4 {
            let count = within(part * 500 * NS_PER_MS, (part + 1) * 500 * NS_PER_MS);
            assert!((15..=70).contains(&count), "{count} of {} begin in part {part}", starts.len());
        }
    }

    #[test]
    fn slots_tile_time_and_do_not_depend_on_when_one_looks() {
        let schedule = Schedule::new("portal", Duration::from_secs(10));
        let slot = schedule.slot_at(1_767_225_600_000_000_000);
        assert!((slot.start_ns..slot.end_ns).contains(&1_767_225_600_000_000_000));
        for at in [slot.start_ns, slot.start_ns + 1, slot.end_ns - 1] {
            assert_eq!(schedule.slot_at(at), slot);
        }
        assert_eq!(schedule.slot_at(slot.end_ns), schedule.next(slot));
        assert_ne!(Schedule::new("other", Duration::from_secs(10)).slot_at(slot.start_ns), slot);
    }
}
