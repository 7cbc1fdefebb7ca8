//! One turn of a conversation over a connection.

use crate::base::pattern::Pattern;

/// One turn of a conversation over a connection: what has to come, then what is said, then TLS.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Turn {
    /// What has to come first.
    pub expect: Option<Pattern>,
    /// The same as bytes.
    pub expect_bytes: Option<Vec<u8>>,
    /// What is said then.
    pub send: Vec<u8>,
    /// TLS begins behind it.
    pub starttls: bool,
}
