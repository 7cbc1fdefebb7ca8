//! Rules that need no file.

/// What is looked for in the slots of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// Two of the last three slots are down, at more than half of the places that know.
    Down,
    /// The same of slots that are slow, while the target is not down.
    Slow,
    /// A certificate ends within so many seconds.
    CertificateEnds {
        /// How many.
        within_s: i64,
    },
    /// What is watched (`watch_content`) was another one within the last hour.
    ContentChanges,
    /// Two of the last three slots found an edge of a CDN stale.
    EdgeIsStale,
}

impl Ready {
    /// Does a target explain it that the one that it is of depends on?
    pub(crate) fn is_explained(self) -> bool {
        matches!(self, Ready::Down | Ready::Slow | Ready::EdgeIsStale)
    }

    /// In words, where other rules show their question.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Ready::Down => "ready: 2 of the last 3 slots are down".into(),
            Ready::Slow => "ready: 2 of the last 3 slots are slow".into(),
            Ready::CertificateEnds { within_s } => {
                format!("ready: the certificate ends within {} days", within_s / 86_400)
            }
            Ready::ContentChanges => "ready: the content changed within the last hour".into(),
            Ready::EdgeIsStale => "ready: 2 of the last 3 slots are stale".into(),
        }
    }
}
