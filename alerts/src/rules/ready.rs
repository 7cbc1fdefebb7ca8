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
}

impl Ready {
    /// In words, where other rules show their question.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Ready::Down => "ready: 2 of the last 3 slots are down".into(),
            Ready::Slow => "ready: 2 of the last 3 slots are slow".into(),
            Ready::CertificateEnds { within_s } => {
                format!("ready: the certificate ends within {} days", within_s / 86_400)
            }
        }
    }
}
