//! Buckets as rows have them: of a side one text, `0:3,1,2 7:5`.

use super::Buckets;

/// The buckets of a side: the index of the first of each span, and the counts from there on.
///
/// # Errors
///
/// The text is something else; what was expected.
///
/// ```
/// use statistics::histogram::buckets_of;
/// assert_eq!(buckets_of("-2:3,0,1 4:2.5"), Ok(vec![(-2, 3.0), (0, 1.0), (4, 2.5)]));
/// assert_eq!(buckets_of("1:a").unwrap_err(), "expected a number, found 'a'");
/// ```
pub fn buckets_of(text: &str) -> Result<Buckets, String> {
    let mut buckets = Buckets::new();
    for span in text.split_ascii_whitespace() {
        let (first, counts) =
            span.split_once(':').ok_or_else(|| format!("expected BUCKET:COUNT,..., found '{span}'"))?;
        let first: i32 = number(first)?;
        for (index, count) in counts.split(',').enumerate() {
            let index = i32::try_from(index).ok().and_then(|index| first.checked_add(index));
            let index = index.ok_or_else(|| format!("the numbers of buckets overflow: {first}"))?;
            let count: f64 = number(count)?;
            if count != 0.0 {
                buckets.push((index, count));
            }
        }
    }
    Ok(buckets)
}

/// The text of the buckets of a side.
///
/// ```
/// use statistics::histogram::{buckets_of, text_of};
/// assert_eq!(text_of(&[(-2, 3.0), (-1, 1.0), (4, 2.5)]), "-2:3,1 4:2.5");
/// assert_eq!(buckets_of(&text_of(&[(7, 0.1)])), Ok(vec![(7, 0.1)]));
/// ```
#[must_use]
pub fn text_of(buckets: &[(i32, f64)]) -> String {
    let mut text = String::new();
    let mut next = None;
    for (index, count) in buckets {
        match next == Some(i64::from(*index)) {
            true => text.push_str(&format!(",{count}")),
            false => text.push_str(&format!("{}{index}:{count}", if text.is_empty() { "" } else { " " })),
        }
        next = Some(i64::from(*index) + 1);
    }
    text
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("expected a number, found '{text}'"))
}
