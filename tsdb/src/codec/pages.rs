//! Numbers coded by the `pco` crate in pages that share one set of bins, each of which is decoded by itself: an hour of a
//! day's page takes a part of the time.
//!
//! ```text
//! LEB128 numbers a page (the last has the rest), LEB128 bytes of header and bins, these; of each page LEB128 bytes; the
//! pages
//! ```

use pco::FULL_BATCH_N;
use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, PagingSpec};

use super::leb128;
use super::numbers::Number;
use super::wanted::Wanted;

/// So many numbers have a page: a few batches of `pco`, beside which what a page has by itself is little.
const PAGE_NUMBERS: usize = 4 * FULL_BATCH_N;
/// Fewer numbers than this are left to one page.
pub(super) const NUMBERS_MIN: usize = 2 * PAGE_NUMBERS;

/// Writes numbers, [`NUMBERS_MIN`] or more.
pub(super) fn encode<N: Number>(values: &[N], out: &mut Vec<u8>) {
    let sound = "the configuration is valid and memory does not fail";
    let counts = values.chunks(PAGE_NUMBERS).map(<[N]>::len).collect();
    let config = ChunkConfig::default().with_paging_spec(PagingSpec::Exact(counts));
    let file = FileCompressor::default();
    let mut head = Vec::new();
    file.write_header(&mut head).expect(sound);
    let mut chunk = file.chunk_compressor(values, &config).expect(sound);
    chunk.write_meta(&mut head).expect(sound);
    leb128::write(PAGE_NUMBERS as u64, out);
    leb128::write(head.len() as u64, out);
    out.append(&mut head);
    let mut pages = Vec::new();
    for page in 0..values.len().div_ceil(PAGE_NUMBERS) {
        let before = pages.len();
        chunk.write_page(page, &mut pages).expect(sound);
        leb128::write((pages.len() - before) as u64, out);
    }
    out.append(&mut pages);
}

/// The numbers `wanted` of so many, as far as they are; zeros for the others of the stretch.
pub(super) fn decode<N: Number>(mut bytes: &[u8], count: usize, wanted: &Wanted) -> Result<Vec<N>, String> {
    let wrong = |error: pco::errors::PcoError| error.to_string();
    let cut = "the pages are cut off";
    let page_numbers = leb128::read(&mut bytes)? as usize;
    if page_numbers == 0 || !page_numbers.is_multiple_of(FULL_BATCH_N) {
        return Err(format!("pages of {page_numbers} numbers"));
    }
    let head_bytes = leb128::read(&mut bytes)? as usize;
    let (head, mut bytes) = bytes.split_at_checked(head_bytes).ok_or(cut)?;
    let (file, head) = FileDecompressor::new(head).map_err(wrong)?;
    let (mut chunk, _) = file.chunk_decompressor::<N, _>(head).map_err(wrong)?;
    let pages = count.div_ceil(page_numbers);
    let mut lengths = Vec::with_capacity(pages.min(bytes.len()));
    for _ in 0..pages {
        lengths.push(leb128::read(&mut bytes)? as usize);
    }
    let mut values = vec![N::default(); wanted.reach.len()];
    let mut numbers = Vec::new();
    for (page, length) in lengths.into_iter().enumerate() {
        let (own, rest) = bytes.split_at_checked(length).ok_or(cut)?;
        bytes = rest;
        let place = page * page_numbers..count.min((page + 1).saturating_mul(page_numbers));
        if !wanted.meets(&place) {
            continue;
        }
        numbers.resize(place.len(), N::default());
        let mut decompressor = chunk.page_decompressor(own, place.len()).map_err(wrong)?;
        let progress = decompressor.read(&mut numbers).map_err(wrong)?;
        if progress.n_processed != numbers.len() {
            return Err(format!("{} values of a page, expected {}", progress.n_processed, numbers.len()));
        }
        let here = place.start.max(wanted.reach.start)..place.end.min(wanted.reach.end);
        values[here.start - wanted.reach.start..here.end - wanted.reach.start]
            .copy_from_slice(&numbers[here.start - place.start..here.end - place.start]);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn numbers_come_back_page_by_page(seed: u64, count in NUMBERS_MIN..9000usize, ends: [prop::sample::Index; 4]) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut sum = 0.0;
            let values: Vec<f64> = (0..count)
                .map(|_| {
                    sum += f64::from(random.u8(..20)) * 0.01;
                    if random.u8(..) == 0 { f64::from_bits(random.u64(..)) } else { sum }
                })
                .collect();
            let mut bytes = Vec::new();
            encode(&values, &mut bytes);
            let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&decode::<f64>(&bytes, count, &Wanted::all(0..count)).unwrap()), bits(&values));
            let mut ends = ends.map(|end| end.index(count));
            ends.sort_unstable();
            let ranges: Vec<_> = [ends[0]..ends[1], ends[2]..ends[3]].into_iter().filter(|own| !own.is_empty()).collect();
            let some = Wanted::some(&ranges);
            let decoded = decode::<f64>(&bytes, count, &some).unwrap();
            prop_assert_eq!(decoded.len(), some.reach.len());
            for range in &ranges {
                let own = &decoded[range.start - some.reach.start..range.end - some.reach.start];
                prop_assert_eq!(bits(own), bits(&values[range.clone()]));
            }
            // Bytes that are not all there, or others.
            let _ = decode::<f64>(&bytes[..random.usize(..bytes.len())], count, &some);
            for _ in 0..20 {
                let mut other = bytes.clone();
                let at = random.usize(..other.len().min(200));
                other[at] ^= 1 << random.u8(..8);
                let _ = decode::<f64>(&other, count, &some);
            }
        }
    }
}
