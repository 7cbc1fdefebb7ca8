//! Integers as what is left of them after a guess: small unsigned numbers that pack well.
//!
//! Order 0 guesses one value for all (the smallest for packing, the middle one for entropy coding), order 1 that a
//! value is the one before it, order 2 that it differs from that as much as that one did from the one before. All
//! arithmetic wraps, so every i64 comes back.

use super::leb128::{self, unzigzag, zigzag};

/// What is guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Order {
    Reference = 0,
    Delta = 1,
    DeltaOfDelta = 2,
}

impl Order {
    pub(super) const ALL: [Order; 3] = [Order::Reference, Order::Delta, Order::DeltaOfDelta];
}

/// What is written before the residuals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    order: Order,
    reference: i64,
    first_delta: i64,
    /// Are residuals of order 0 signed, around the reference?
    signed: bool,
}

/// The residuals of some integers.
#[derive(Debug)]
pub(super) struct Residuals {
    pub(super) header: Header,
    pub(super) values: Vec<u64>,
}

impl Residuals {
    /// Order 0 is taken from the smallest value.
    pub(super) fn new(integers: &[i64], order: Order) -> Residuals {
        let smallest = integers.iter().min().copied().unwrap_or(0);
        Residuals::around(integers, order, smallest, false)
    }

    /// Order 0 is taken from the middle value, in both directions.
    pub(super) fn centred(integers: &[i64], order: Order) -> Residuals {
        let mut sorted = integers.to_vec();
        let middle = sorted.len() / 2;
        let median = if sorted.is_empty() { 0 } else { *sorted.select_nth_unstable(middle).1 };
        Residuals::around(integers, order, median, true)
    }

    fn around(integers: &[i64], order: Order, reference: i64, signed: bool) -> Residuals {
        let first = integers.first().copied().unwrap_or(0);
        let first_delta = integers.get(1).map_or(0, |second| second.wrapping_sub(first));
        let (reference, values) = match order {
            Order::Reference if signed => {
                (reference, integers.iter().map(|value| zigzag(value.wrapping_sub(reference))).collect())
            }
            Order::Reference => (reference, integers.iter().map(|v| v.wrapping_sub(reference) as u64).collect()),
            Order::Delta => {
                let mut last = first;
                let delta = |value: &i64| zigzag(value.wrapping_sub(std::mem::replace(&mut last, *value)));
                (first, integers.iter().map(delta).collect())
            }
            Order::DeltaOfDelta => {
                // As if the value before the first had led to it with the first difference.
                let (mut last, mut step) = (first.wrapping_sub(first_delta), first_delta);
                let delta = |value: &i64| {
                    let delta = value.wrapping_sub(std::mem::replace(&mut last, *value));
                    zigzag(delta.wrapping_sub(std::mem::replace(&mut step, delta)))
                };
                (first, integers.iter().map(delta).collect())
            }
        };
        Residuals { header: Header { order, reference, first_delta, signed }, values }
    }
}

/// What came before a residual: the integer before, and the difference that led to it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Before {
    pub(super) last: i64,
    step: i64,
}

/// The header at the start of `bytes`, and what is behind it.
pub(super) fn read_header(bytes: &[u8]) -> Result<(Header, &[u8]), String> {
    let (number, mut bytes) = bytes.split_first().ok_or("the header of the residuals is cut off")?;
    let order = Order::ALL.into_iter().find(|order| *order as u8 == number & 0x7f);
    let order = order.ok_or_else(|| format!("unknown order {number}"))?;
    let reference = unzigzag(leb128::read(&mut bytes)?);
    let first_delta = match order {
        Order::DeltaOfDelta => unzigzag(leb128::read(&mut bytes)?),
        _ => 0,
    };
    Ok((Header { order, reference, first_delta, signed: number & 0x80 != 0 }, bytes))
}

impl Header {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.order as u8 | u8::from(self.signed) << 7);
        leb128::write(zigzag(self.reference), out);
        if self.order == Order::DeltaOfDelta {
            leb128::write(zigzag(self.first_delta), out);
        }
    }

    /// Is each integer the one before it and a residual, so that integers are sums of residuals?
    pub(super) fn is_delta(&self) -> bool {
        self.order == Order::Delta
    }

    /// Can a residual be restored without those before it?
    pub(super) fn stand_alone(&self) -> bool {
        self.order == Order::Reference
    }

    /// What is taken to come before the first residual.
    pub(super) fn before_all(&self) -> Before {
        match self.order {
            Order::Reference => Before::default(),
            Order::Delta => Before { last: self.reference, step: 0 },
            Order::DeltaOfDelta => {
                Before { last: self.reference.wrapping_sub(self.first_delta), step: self.first_delta }
            }
        }
    }

    /// Writes what came before the integer at a place behind the second, as distances from where all began.
    pub(super) fn write_before(&self, integers: &[i64], at: usize, out: &mut Vec<u8>) {
        let last = integers[at - 1];
        if self.order != Order::Reference {
            leb128::write(zigzag(last.wrapping_sub(self.reference)), out);
        }
        if self.order == Order::DeltaOfDelta {
            let step = last.wrapping_sub(integers[at - 2]);
            leb128::write(zigzag(step.wrapping_sub(self.first_delta)), out);
        }
    }

    /// What [`write_before`](Self::write_before) wrote at the start of `bytes`, which then start behind it.
    pub(super) fn read_before(&self, bytes: &mut &[u8]) -> Result<Before, String> {
        let mut before = Before::default();
        if self.order != Order::Reference {
            before.last = self.reference.wrapping_add(unzigzag(leb128::read(bytes)?));
        }
        if self.order == Order::DeltaOfDelta {
            before.step = self.first_delta.wrapping_add(unzigzag(leb128::read(bytes)?));
        }
        Ok(before)
    }

    /// The integers that left these residuals: as many as `integers` has room for. `before` is then what comes before
    /// the next.
    #[inline(always)]
    pub(super) fn restore(&self, before: &mut Before, residuals: impl Iterator<Item = u64>, integers: &mut [i64]) {
        let Before { mut last, mut step } = *before;
        let mut places = integers.iter_mut();
        let mut put = |integer| {
            if let Some(place) = places.next() {
                *place = integer;
            }
        };
        // Not by `for_each`, which would not be compiled for the processor that the caller is compiled for.
        match self.order {
            Order::Reference if self.signed => {
                residuals.fold((), |(), residual| put(unzigzag(residual).wrapping_add(self.reference)));
            }
            Order::Reference => residuals.fold((), |(), residual| put((residual as i64).wrapping_add(self.reference))),
            Order::Delta => residuals.fold((), |(), residual| {
                last = last.wrapping_add(unzigzag(residual));
                put(last);
            }),
            Order::DeltaOfDelta => residuals.fold((), |(), residual| {
                step = step.wrapping_add(unzigzag(residual));
                last = last.wrapping_add(step);
                put(last);
            }),
        }
        *before = Before { last, step };
    }
}
