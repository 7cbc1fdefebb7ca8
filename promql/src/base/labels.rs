//! What series are told apart by.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::syntax::{is_byte, is_plain, quote};

/// The label with the name of a metric.
pub const NAME: &str = "__name__";
/// Labels that describe the metric, and go with its name.
const OF_METRIC: [&str; 3] = [NAME, "__type__", "__unit__"];

/// Labels, sorted by name; none is empty.
///
/// ```
/// use promql::base::labels::Labels;
///
/// let labels = Labels::new([("job", "node"), ("__name__", "up"), ("empty", "")]);
/// assert_eq!(labels.to_string(), r#"{__name__="up", job="node"}"#);
/// assert_eq!((labels.get("job"), labels.get("empty")), ("node", ""));
/// assert_eq!(labels.without_metric().to_string(), r#"{job="node"}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Ord for Labels {
    /// By name and value, one label after the other. Names and values that are shared are not read.
    fn cmp(&self, other: &Labels) -> Ordering {
        let text = |one: &Arc<str>, other: &Arc<str>| match Arc::ptr_eq(one, other) {
            true => Ordering::Equal,
            false => one.cmp(other),
        };
        let pairs = self.0.iter().zip(&*other.0);
        let differing = pairs.map(|(one, other)| text(&one.0, &other.0).then_with(|| text(&one.1, &other.1)));
        let first = differing.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
        first.then_with(|| self.0.len().cmp(&other.0.len()))
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Labels) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Labels {
    /// Labels of names and values; of one name the last counts.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(labels: impl IntoIterator<Item = (N, V)>) -> Labels {
        let mut all: Vec<(Arc<str>, Arc<str>)> =
            labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                std::mem::swap(next, kept);
            }
            is_same
        });
        all.retain(|(_, value)| !value.is_empty());
        Labels(all.into())
    }

    /// Labels that are sorted, each name once.
    pub(crate) fn of_sorted(mut all: Vec<(Arc<str>, Arc<str>)>) -> Labels {
        debug_assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0), "{all:?}");
        all.retain(|(_, value)| !value.is_empty());
        Labels(all.into())
    }

    /// The value of a label, empty if there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.binary_search_by(|(own, _)| (**own).cmp(name)).map_or("", |at| &self.0[at].1)
    }

    /// The name of the metric.
    #[must_use]
    pub fn metric(&self) -> &str {
        self.get(NAME)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn filtered(&self, keep: impl Fn(&str) -> bool) -> Labels {
        match self.0.iter().all(|(name, _)| keep(name)) {
            true => self.clone(),
            false => Labels(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect()),
        }
    }

    /// Only these.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Labels {
        self.filtered(|name| names.iter().any(|own| own == name))
    }

    /// All but these.
    #[must_use]
    pub fn without(&self, names: &[String]) -> Labels {
        self.filtered(|name| !names.iter().any(|own| own == name))
    }

    /// Without the name of the metric, its type and its unit.
    #[must_use]
    pub fn without_metric(&self) -> Labels {
        self.filtered(|name| !OF_METRIC.contains(&name))
    }

    /// Without one.
    #[must_use]
    pub fn without_one(&self, name: &str) -> Labels {
        self.filtered(|own| own != name)
    }

    /// With a label set anew; an empty value takes it away.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Labels {
        let mut all: Vec<_> = self.0.iter().filter(|(own, _)| **own != *name).cloned().collect();
        if !value.is_empty() {
            let at = all.partition_point(|(own, _)| **own < *name);
            all.insert(at, (name.into(), value.into()));
        }
        Labels(all.into())
    }

    /// What `limit_ratio` draws by, from 0 to 1: the same labels always give the same.
    #[must_use]
    pub fn share(&self) -> f64 {
        let mut bytes = Vec::new();
        for (name, value) in &*self.0 {
            for text in [name, value] {
                encode_length(text.len(), &mut bytes);
                bytes.extend(text.as_bytes());
            }
        }
        xxhash_rust::xxh64::xxh64(&bytes, 0) as f64 / u64::MAX as f64
    }
}

/// May a label have this name?
pub(crate) fn is_label(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(is_byte)
}

/// Lengths as Prometheus packs them before it hashes labels.
fn encode_length(length: usize, bytes: &mut Vec<u8>) {
    match u8::try_from(length) {
        Ok(byte @ 0..=254) => bytes.push(byte),
        _ => bytes.extend([255, length as u8, (length >> 8) as u8, (length >> 16) as u8]),
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            let name = if is_plain(name) { name.to_owned() } else { quote(name) };
            write!(f, "{}{name}={}", if at == 0 { "" } else { ", " }, quote(value))?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_name_the_last_counts() {
        let labels = Labels::new([("a", "1"), ("b", "2"), ("a", "3")]);
        assert_eq!(labels, Labels::new([("a", "3"), ("b", "2")]));
        assert_eq!(labels.with("a", ""), Labels::new([("b", "2")]));
        assert_eq!(labels.with("ab", "x").to_string(), r#"{a="3", ab="x", b="2"}"#);
        assert!(Labels::new([("a", "1")]) < Labels::new([("a", "1"), ("b", "2")]));
    }
}
