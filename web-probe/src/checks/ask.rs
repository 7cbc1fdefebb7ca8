//! What a check is told beside its address.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::cdn_ask::CdnAsk;
use super::links_ask::LinksAsk;
use super::step::Step;
use super::turn::Turn;
use crate::http::{Expect, HttpAsk};

/// What a check is told beside its address. Each kind takes what it can use, and refuses the rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ask {
    /// `http`: what is asked.
    pub http: HttpAsk,
    /// `http`: what counts as up.
    pub expect: Expect,
    /// `tcp`: what is sent once connected. Databases: the statement.
    pub send: Option<String>,
    /// `tcp`, `udp`: the same as bytes.
    pub send_bytes: Option<Vec<u8>>,
    /// `tcp`, `udp`: bytes that have to come back.
    pub body_bytes: Option<Vec<u8>>,
    /// `tcp`: a conversation, turn by turn.
    pub exchange: Vec<Turn>,
    /// Databases: the first value of the answer has to be a number of these.
    pub value: Option<RangeInclusive<f64>>,
    /// Who is asked for names; the system's resolver if nobody is. `dns` and `cdn` ask each of them, others the first
    /// that answers.
    pub resolvers: Vec<SocketAddr>,
    /// `dns`: what has to be among the answers.
    pub answers: Vec<String>,
    /// `dns`: how a resolver may answer (`NOERROR`, `NXDOMAIN`); without one there have to be records.
    pub rcodes: Vec<String>,
    /// `http://` and `https://`: each edge of the host is asked by itself.
    pub cdn: Option<CdnAsk>,
    /// `http://` and `https://`: these requests instead of one.
    pub steps: Option<Vec<Step>>,
    /// `http://` and `https://`: the site is read page by page, and its links tried.
    pub links: Option<LinksAsk>,
    /// `http://` and `https://`: it is a page of metrics, which is stored.
    pub scrape: bool,
    /// `icmp`: how many pings there are; 1 if it is not said.
    pub pings: Option<u16>,
}
