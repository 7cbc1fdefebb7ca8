//! What came of an attempt to tell.

use std::time::Duration;

/// Of an error so much is kept.
const ERROR_LETTERS_MAX: usize = 300;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Sent,
    /// It may be taken another time.
    Failed {
        /// Why not.
        error: String,
        /// Not before, if the receiver said so.
        after: Option<Duration>,
    },
    /// It will never be taken.
    Refused(String),
}

impl Outcome {
    pub(super) fn failed(error: String) -> Outcome {
        Outcome::failed_until(error, None)
    }

    pub(super) fn failed_until(error: String, after: Option<Duration>) -> Outcome {
        Outcome::Failed { error: shortened(error), after }
    }

    pub(super) fn refused(error: String) -> Outcome {
        Outcome::Refused(shortened(error))
    }
}

/// Without what would break a line of a log.
fn shortened(text: String) -> String {
    let plain = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    plain.take(ERROR_LETTERS_MAX).collect::<String>().trim_end().trim_end_matches(':').to_owned()
}
