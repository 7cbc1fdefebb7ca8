//! What is probed, how often, and what counts as up.

use std::ops::RangeInclusive;
use std::time::Duration;

use regex::Regex;
use url::Url;

/// A web address that is probed on a schedule.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name in the tag `target`.
    pub name: String,
    /// What is asked for.
    pub url: Url,
    /// The tag `group`.
    pub group: Option<String>,
    /// From one slot to the next.
    pub interval: Duration,
    /// A slot's probe fails after this long.
    pub timeout: Duration,
    /// An answer that takes longer than this is up, but slow.
    pub slow: Option<Duration>,
    /// What counts as up.
    pub expect: Expect,
    /// Probe link-local and metadata addresses too, which a name should not lead to.
    pub allow_link_local: bool,
}

/// What an answer must be for the target to be up.
#[derive(Debug, Clone)]
pub struct Expect {
    /// Statuses that are up.
    pub status: Vec<RangeInclusive<u16>>,
    /// A pattern that the body must contain, within its first [`BODY_BYTES_SEARCHED`](Self::BODY_BYTES_SEARCHED).
    pub body: Option<Regex>,
}

impl Expect {
    /// How much of a body a pattern is looked for in.
    pub const BODY_BYTES_SEARCHED: usize = 1 << 20;

    /// Is this status up?
    pub fn status_is_up(&self, status: u16) -> bool {
        self.status.iter().any(|range| range.contains(&status))
    }
}

impl Default for Expect {
    /// Any status from 200 to 399: redirects are answers, they are not followed.
    fn default() -> Expect {
        Expect { status: vec![200..=399], body: None }
    }
}

impl Target {
    /// A target with the defaults: every 10 s, timeout 5 s, named after its address.
    pub fn new(url: Url) -> Target {
        Target {
            name: url.to_string(),
            url,
            group: None,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            slow: None,
            expect: Expect::default(),
            allow_link_local: false,
        }
    }
}
