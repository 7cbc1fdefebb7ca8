//! A histogram as a text.

use std::fmt;

use super::Histogram;
use super::iterate::Bucket;
use crate::float::show_general;

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", show_general(self.count), show_general(self.sum))?;
        let zero = (self.zero_count != 0.0).then(|| self.zero());
        for bucket in self.below().rev().chain(zero).chain(self.above()) {
            write!(f, ", {bucket}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = (if self.has_lower { '[' } else { '(' }, if self.has_upper { ']' } else { ')' });
        let [lower, upper, count] = [self.lower, self.upper, self.count].map(show_general);
        write!(f, "{open}{lower},{upper}{close}:{count}")
    }
}
