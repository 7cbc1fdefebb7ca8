//! What is asked of the edges of a host name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::base::pattern::Pattern;

/// What is asked of the edges of a host name, beside the address.
#[derive(Debug, Clone)]
pub struct CdnAsk {
    /// Edges that are asked whatever resolvers say.
    pub edges: Vec<IpAddr>,
    /// What the edges fetch from; they are compared with it.
    pub origin: Option<IpAddr>,
    /// Resolvers are asked on behalf of clients in these, too.
    pub client_subnets: Vec<Subnet>,
    /// So long an edge is asked after it was named last.
    pub keep: Duration,
    /// How long edges may keep what says nothing of it itself.
    pub lifetime: Option<Duration>,
    /// What shows of a write, and when every edge has to have it.
    pub mark: Option<Mark>,
    /// An edge with another certificate than the origin, or than most, is not up.
    pub same_certificate: bool,
    /// How far it is.
    pub progress: Arc<Progress>,
}

impl PartialEq for CdnAsk {
    /// Is the same asked? How far it is, is no part of that.
    fn eq(&self, other: &CdnAsk) -> bool {
        let CdnAsk { edges, origin, client_subnets, keep, lifetime, mark, same_certificate, progress: _ } = self;
        (edges, origin, client_subnets, keep) == (&other.edges, &other.origin, &other.client_subnets, &other.keep)
            && (lifetime, mark, same_certificate) == (&other.lifetime, &other.mark, &other.same_certificate)
    }
}

impl Default for CdnAsk {
    fn default() -> CdnAsk {
        CdnAsk {
            edges: Vec::new(),
            origin: None,
            client_subnets: Vec::new(),
            keep: Duration::from_hours(1),
            lifetime: None,
            mark: None,
            same_certificate: false,
            progress: Arc::default(),
        }
    }
}

/// A mark in the body that shows of a write: a number that grows, or a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Its first group is the mark; all of it if it has none.
    pub pattern: Pattern,
    /// Every edge has to have it so long after the origin.
    pub within: Duration,
}

/// How many edges are asked in this slot, the origin among them, and how many have answered or failed.
#[derive(Debug, Default)]
pub struct Progress {
    asked: AtomicUsize,
    done: AtomicUsize,
}

impl Progress {
    /// A slot begins, with so many edges.
    pub(crate) fn begin(&self, asked: usize) {
        self.done.store(0, Ordering::Relaxed);
        self.asked.store(asked, Ordering::Relaxed);
    }

    /// One more has answered or failed.
    pub(crate) fn one_done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Edges that are done, and edges in all; nothing is known of these before the resolvers have answered.
    pub fn get(&self) -> (usize, usize) {
        (self.done.load(Ordering::Relaxed), self.asked.load(Ordering::Relaxed))
    }
}

/// A network that a client is in: resolvers that are told of it answer as if they were asked from there (RFC 7871).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
}

impl FromStr for Subnet {
    type Err = String;

    /// `203.0.113.0/24`, `2001:db8::/56`.
    fn from_str(text: &str) -> Result<Subnet, String> {
        let invalid = || format!("'{text}' is not a network like 203.0.113.0/24 or 2001:db8::/56");
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let (address, prefix) = (address.parse().map_err(|_| invalid())?, prefix.parse().map_err(|_| invalid())?);
        let longest = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        if prefix > longest { Err(invalid()) } else { Ok(Subnet { address, prefix }) }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}
