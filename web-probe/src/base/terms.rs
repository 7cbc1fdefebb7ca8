//! How a check is done, whatever it asks: how long it may take, where it connects, who is asked for names.

use std::net::IpAddr;
use std::time::Duration;

use super::resolver::Resolver;
use super::trust::Trust;

/// How a check is done, whatever it asks.
#[derive(Debug, Clone)]
pub struct Terms {
    /// A slot's probe fails after this long.
    pub timeout: Duration,
    /// An answer that takes longer than this is up, but slow.
    pub slow: Option<Duration>,
    /// An answer that takes longer than this is not up, although it came before the timeout.
    pub fail: Option<Duration>,
    /// Probe link-local and metadata addresses too, which a name should not lead to.
    pub allow_link_local: bool,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// It is to be down: what is not up is, and the other way round.
    pub upside_down: bool,
    /// What this prober cannot speak says nothing about the target.
    pub unsupported_is_missed: bool,
    /// Which address of a name is connected to.
    pub(crate) connect_to: ConnectTo,
    /// Who is asked for names, if not the system's resolver.
    pub(crate) resolver: Option<Resolver>,
}

impl Default for Terms {
    /// 5 s, and whatever the name has.
    fn default() -> Terms {
        Terms {
            timeout: Duration::from_secs(5),
            slow: None,
            fail: None,
            allow_link_local: false,
            trust: Trust::System,
            upside_down: false,
            unsupported_is_missed: false,
            connect_to: ConnectTo::default(),
            resolver: None,
        }
    }
}

/// Which address of a name is connected to. One a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConnectTo {
    /// The first one of IPv4, or of IPv6 if there is none.
    #[default]
    Any,
    /// The first one of IPv4.
    V4,
    /// The first one of IPv6.
    V6,
    /// The first one of IPv4 and the first one of IPv6, each an edge.
    Both,
    /// This one, and the name is not resolved; it stands in what is asked all the same.
    Pinned(IpAddr),
}
