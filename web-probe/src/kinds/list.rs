//! Every kind of check. Another one is a file beside this one, and a line here.

use std::sync::Arc;

use url::Url;

use super::{
    cdn, dialog, dns, domain, grpc, heartbeat, host, http, icmp, links, mysql, postgres, redis, scrape, steps, tcp,
    tls, udp, websocket,
};
use crate::checks::ask::Ask;
use crate::checks::check::Check;
use crate::checks::kind::{Kind, Setting};

/// All of them. Of those for one scheme, the special ones come first.
const KINDS: [&Kind; 23] = [
    &cdn::KIND,
    &links::KIND,
    &steps::KIND,
    &scrape::KIND,
    &http::KIND,
    &websocket::KIND,
    &grpc::KIND,
    &tcp::KIND,
    &udp::KIND,
    &tls::KIND,
    &dns::KIND,
    &domain::KIND,
    &icmp::KIND,
    &dialog::SMTP,
    &dialog::IMAP,
    &dialog::POP3,
    &dialog::FTP,
    &dialog::SSH,
    &postgres::KIND,
    &mysql::KIND,
    &redis::KIND,
    &heartbeat::KIND,
    &host::KIND,
];

/// The check of an address.
///
/// # Errors
///
/// No kind is for its scheme, or none of those that are can be told what is asked.
pub(crate) fn check(url: Url, ask: Ask) -> Result<Arc<dyn Check>, String> {
    let scheme = url.scheme();
    let own = || KINDS.iter().filter(|kind| kind.is_for(scheme));
    if own().next().is_none() {
        return Err(format!("{scheme} cannot be probed; {} can", named(&|_| true)));
    }
    let takes = |kind: &Kind, setting| kind.takes.contains(&setting);
    let refused =
        Setting::ALL.into_iter().find(|setting| setting.is_given(&ask) && !own().any(|kind| takes(kind, *setting)));
    if let Some(setting) = refused {
        return Err(format!("{} is for {}, not for {scheme}", setting.keys(), named(&|kind| takes(kind, setting))));
    }
    let kind = own().find(|kind| (kind.is_asked)(&ask)).ok_or_else(|| format!("{scheme} has no kind for this"))?;
    (kind.make)(url, ask)
}

/// The schemes of some kinds, in words.
fn named(which: &dyn Fn(&Kind) -> bool) -> String {
    let mut schemes: Vec<&str> = Vec::new();
    for scheme in KINDS.iter().filter(|kind| which(kind)).flat_map(|kind| kind.schemes) {
        if !schemes.contains(scheme) {
            schemes.push(scheme);
        }
    }
    match schemes.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => schemes.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked of one kind alone is refused by every other, and says whose it is.
    #[test]
    fn every_setting_is_for_somebody_and_refused_by_others() {
        for setting in Setting::ALL {
            assert!(!named(&|kind| kind.takes.contains(&setting)).is_empty(), "{setting:?} is for nobody");
        }
        let asked = |address: &str, ask| check(Url::parse(address).unwrap(), ask).unwrap_err();
        let send = || Ask { send: Some("x".into()), ..Ask::default() };
        assert_eq!(asked("tls://a", send()), "send is for tcp, udp, postgres, mysql and redis, not for tls");
        let pings = || Ask { pings: Some(1), ..Ask::default() };
        assert_eq!(asked("https://a", pings()), "pings is for icmp, not for https");
        let scrape = || Ask { scrape: true, ..Ask::default() };
        assert_eq!(asked("tcp://a:1", scrape()), "kind = \"scrape\" is for http and https, not for tcp");
        let known = "http, https, ws, grpc, tcp, udp, tls, dns, domain, icmp, smtp, imap, pop3, ftp, ssh, postgres, mysql, redis, heartbeat and host";
        assert_eq!(asked("gopher://a", Ask::default()), format!("gopher cannot be probed; {known} can"));
    }
}
