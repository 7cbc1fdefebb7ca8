//! How far a site is read.

use std::time::Duration;

/// How far a site is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinksAsk {
    /// How many links lead from the address to a page that is still read; 0 is the page itself alone.
    pub depth: u32,
    /// So many pages are read at the most.
    pub pages_max: usize,
    /// From the end of one request to the start of the next.
    pub pause: Duration,
    /// A link fails after this long.
    pub timeout: Duration,
    /// Try links to other hosts, too.
    pub elsewhere: bool,
}

impl Default for LinksAsk {
    fn default() -> LinksAsk {
        LinksAsk {
            depth: 2,
            pages_max: 100,
            pause: Duration::from_millis(100),
            timeout: Duration::from_secs(10),
            elsewhere: true,
        }
    }
}
