//! Integers that go on in equal steps, as the times of probes and agents do: of each stretch its length, where it
//! starts, and its step.
//!
//! ```text
//! LEB128 how many stretches; of each LEB128 length, signed LEB128 start less where the stretch before would have gone on
//! (less zero for the first), signed LEB128 step
//! ```

use std::ops::Range;

use super::leb128::{self, unzigzag, zigzag};

/// Stretches shorter than this on average are left to other codecs.
const MEAN_LENGTH_MIN: usize = 64;

/// Integers in equal steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    length: usize,
    start: i64,
    step: i64,
}

impl Stretch {
    fn at(self, index: usize) -> i64 {
        self.start.wrapping_add(self.step.wrapping_mul(index as i64))
    }
}

/// Writes the integers if their stretches are long.
pub(super) fn encode(integers: &[i64], out: &mut Vec<u8>) -> bool {
    let Some(stretches) = stretches(integers) else { return false };
    leb128::write(stretches.len() as u64, out);
    let mut expected = 0i64;
    for stretch in stretches {
        leb128::write(stretch.length as u64, out);
        leb128::write(zigzag(stretch.start.wrapping_sub(expected)), out);
        leb128::write(zigzag(stretch.step), out);
        expected = stretch.at(stretch.length);
    }
    true
}

fn stretches(integers: &[i64]) -> Option<Vec<Stretch>> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for integer in integers {
        if let Some(last) = stretches.last_mut() {
            if last.length == 1 {
                last.step = integer.wrapping_sub(last.start);
            }
            if last.at(last.length) == *integer {
                last.length += 1;
                continue;
            }
        }
        if (stretches.len() + 1) * MEAN_LENGTH_MIN > integers.len() {
            return None;
        }
        stretches.push(Stretch { length: 1, start: *integer, step: 0 });
    }
    Some(stretches)
}

/// The integers `wanted` of so many.
pub(super) fn decode(bytes: &[u8], count: usize, wanted: Range<usize>) -> Result<Vec<i64>, String> {
    let mut integers = Vec::with_capacity(wanted.len());
    walk(bytes, count, |place, stretch| {
        let here = place.start.max(wanted.start)..place.end.min(wanted.end);
        integers.extend(here.map(|at| stretch.at(at - place.start)));
    })?;
    Ok(integers)
}

/// The same as small numbers, as those of series are: stretches of one number are filled in.
pub(super) fn decode_small(bytes: &[u8], count: usize, wanted: Range<usize>) -> Result<Vec<u32>, String> {
    let (mut numbers, mut wrong) = (Vec::with_capacity(wanted.len()), None);
    walk(bytes, count, |place, stretch| {
        let here = place.start.max(wanted.start)..place.end.min(wanted.end);
        if here.is_empty() || wrong.is_some() {
            return;
        }
        // Between two ends that are small all are.
        let ends = [here.start, here.end - 1]
            .map(|at| i128::from(stretch.start) + i128::from(stretch.step) * (at - place.start) as i128);
        match (u32::try_from(ends[0]), u32::try_from(ends[1])) {
            (Ok(first), Ok(_)) if stretch.step == 0 => numbers.resize(numbers.len() + here.len(), first),
            (Ok(_), Ok(_)) => numbers.extend(here.map(|at| stretch.at(at - place.start) as u32)),
            (Err(_), _) => wrong = Some(ends[0]),
            (_, Err(_)) => wrong = Some(ends[1]),
        }
    })?;
    wrong.map_or(Ok(numbers), |wrong| Err(format!("{wrong} is no u32")))
}

/// The places among `wanted` from the first to the last at which integers between two, both included, may stand.
pub(super) fn places_between(
    bytes: &[u8],
    count: usize,
    wanted: Range<usize>,
    (least, most): (i64, i64),
) -> Result<Range<usize>, String> {
    let mut reach: Option<Range<usize>> = None;
    walk(bytes, count, |place, stretch| {
        let (start, step) = (i128::from(stretch.start), i128::from(stretch.step));
        let last = start + step * (place.len() as i128 - 1);
        // One that does not rise, or wraps, is left to who looks at its integers.
        let here = if step <= 0 || last > i128::from(i64::MAX) {
            place
        } else {
            let behind = |limit: i128| (limit - start).div_euclid(step).clamp(-1, place.len() as i128 - 1) + 1;
            let (first, end) = (behind(i128::from(least) - 1), behind(i128::from(most)));
            place.start + first as usize..place.start + end as usize
        };
        let here = here.start.max(wanted.start)..here.end.min(wanted.end);
        if !here.is_empty() {
            reach = Some(reach.as_ref().map_or(here.start, |reach| reach.start)..here.end);
        }
    })?;
    Ok(reach.unwrap_or(wanted.start..wanted.start))
}

/// Shows each stretch and the places of its integers.
fn walk(mut bytes: &[u8], count: usize, mut show: impl FnMut(Range<usize>, Stretch)) -> Result<(), String> {
    let (mut first, mut expected) = (0usize, 0i64);
    for _ in 0..leb128::read(&mut bytes)? {
        let length = leb128::read(&mut bytes)?.min(count as u64) as usize;
        let start = expected.wrapping_add(unzigzag(leb128::read(&mut bytes)?));
        let stretch = Stretch { length, start, step: unzigzag(leb128::read(&mut bytes)?) };
        let end = first + length;
        if length == 0 || end > count {
            break;
        }
        show(first..end, stretch);
        (first, expected) = (end, stretch.at(length));
    }
    match first == count {
        true => Ok(()),
        false => Err(format!("the stretches do not make {count} integers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stretches_come_back(
            stretches in prop::collection::vec(
                (1usize..400, prop_oneof![any::<i64>(), 0i64..1 << 33], prop_oneof![any::<i64>(), -3i64..3]),
                1..6,
            ),
            ends: [prop::sample::Index; 2],
            limits: [prop::sample::Index; 2],
            more in -2i64..3,
        ) {
            let of = |(length, start, step): (usize, i64, i64)| {
                (0..length).map(move |at| start.wrapping_add(step.wrapping_mul(at as i64)))
            };
            let integers: Vec<i64> = stretches.into_iter().flat_map(of).collect();
            let [a, b] = ends.map(|end| end.index(integers.len() + 1));
            let wanted = a.min(b)..a.max(b);
            let mut bytes = Vec::new();
            if encode(&integers, &mut bytes) {
                prop_assert_eq!(&decode(&bytes, integers.len(), 0..integers.len()).unwrap(), &integers);
                prop_assert_eq!(&decode(&bytes, integers.len(), wanted.clone()).unwrap(), &integers[wanted.clone()]);
                let small: Result<Vec<u32>, _> = integers[wanted.clone()].iter().map(|own| u32::try_from(*own)).collect();
                prop_assert_eq!(decode_small(&bytes, integers.len(), wanted.clone()).ok(), small.ok());
                let limits = limits.map(|limit| limit.get(&integers).wrapping_add(more));
                let limits = (limits[0].min(limits[1]), limits[0].max(limits[1]));
                let reach = places_between(&bytes, integers.len(), wanted.clone(), limits).unwrap();
                prop_assert!(wanted.start <= reach.start && reach.end <= wanted.end.max(reach.start), "{reach:?}");
                let is_between = |at: &usize| (limits.0..=limits.1).contains(&integers[*at]);
                let left_out = wanted.filter(|at| !reach.contains(at));
                prop_assert_eq!(left_out.filter(is_between).count(), 0);
                prop_assert!(decode(&bytes, integers.len() + 1, 0..1).is_err());
                prop_assert!(decode(&bytes[..bytes.len() - 1], integers.len(), 0..1).is_err());
            } else {
                prop_assert!(integers.len() < 6 * MEAN_LENGTH_MIN * 2, "{} integers are in a few stretches", integers.len());
            }
        }

        #[test]
        fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0usize..2000) {
            let _ = decode_small(&bytes, count, count / 2..count);
            let _ = (decode(&bytes, count, count / 2..count), places_between(&bytes, count, 0..count, (-9, 9)));
        }
    }

    #[test]
    fn times_of_several_series_are_a_few_bytes_and_noise_is_left_to_others() {
        let times: Vec<i64> =
            (0..4).flat_map(|_| (0..500).map(|n| 1_767_225_600_000_000_000 + n * 10_000_000_000)).collect();
        let mut bytes = Vec::new();
        assert!(encode(&times, &mut bytes) && bytes.len() < 80, "{}", bytes.len());
        // From the second series on, an hour of each.
        let hour = (times[100], times[459]);
        assert_eq!(places_between(&bytes, 2000, 500..2000, hour), Ok(600..1960));
        assert_eq!(places_between(&bytes, 2000, 500..700, hour), Ok(600..700));
        assert_eq!(places_between(&bytes, 2000, 500..600, hour), Ok(500..500));
        let mut random = fastrand::Rng::with_seed(1);
        let noise: Vec<i64> = times.iter().map(|time| time + random.i64(0..1000)).collect();
        assert!(!encode(&noise, &mut Vec::new()));
    }
}
