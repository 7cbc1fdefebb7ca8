//! `dns:name?type=A`: what resolvers answer, and whether they agree.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::join_all;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RecordType};
use percent_encoding::percent_decode_str;
use url::Host;

use crate::base::resolver::Resolver;
use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting};
use crate::found::failure::{Class, Failure};
use crate::found::field::Field;
use crate::found::findings::{Findings, Phase};
use crate::net::network::{Network, of_lookup};

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: &["dns"],
    aliases: &[],
    is_asked: |_| true,
    takes: &[Setting::Answers, Setting::Rcodes],
    make: |url, ask| {
        if url.host_str().is_some_and(|host| !host.is_empty()) && !matches!(url.path(), "" | "/") {
            return Err("a server in the address is not asked; resolvers is, as in dns:example.org?type=MX".into());
        }
        let mut record = "A".to_owned();
        for (key, value) in url.query_pairs() {
            match &*key {
                "type" => record = value.into_owned(),
                _ => return Err(format!("'{key}={value}' is not known; type=MX is")),
            }
        }
        let text = url.host_str().filter(|host| !host.is_empty()).unwrap_or(url.path());
        Ok(Arc::new(DnsCheck::new(text.trim_start_matches('/'), &record, &ask.resolvers, &ask.answers, ask.rcodes)?))
    },
};

/// Records of a name, asked of some resolvers at the same time.
#[derive(Debug)]
pub(crate) struct DnsCheck {
    name: String,
    record: RecordType,
    /// The system's if there are none.
    resolvers: Vec<Resolver>,
    /// What has to be among the answers of each of them: as it was told, and as values are compared.
    expect: Vec<(String, String)>,
    /// How each of them may answer; without one there have to be records.
    rcodes: Vec<String>,
}

/// Codes of answers that are known by name (RFC 1035, RFC 2136).
const RCODES: [&str; 11] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE",
];

/// The code of an answer without records, if it is one.
fn rcode_of(error: &NetError) -> Option<String> {
    let code = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
        NetError::Dns(DnsError::ResponseCode(code)) => *code,
        _ => return None,
    };
    Some(format!("{code:?}").to_ascii_uppercase())
}

/// What a resolver answered.
struct Answered {
    rcode: String,
    /// As they are shown, by how they are compared.
    records: BTreeMap<String, String>,
    is_authoritative: bool,
    is_authentic: bool,
}

impl DnsCheck {
    /// A check of the records of a kind (`A`, `TXT`) that a name has. Without resolvers the system's are asked.
    ///
    /// # Errors
    ///
    /// What is wrong with the kind, or with the system's resolvers.
    pub(crate) fn new(
        name: &str,
        record: &str,
        resolvers: &[SocketAddr],
        expect: &[String],
        rcodes: Vec<String>,
    ) -> Result<DnsCheck, String> {
        let rcodes: Vec<String> = rcodes.iter().map(|rcode| rcode.to_ascii_uppercase()).collect();
        if let Some(other) = rcodes.iter().find(|rcode| !RCODES.contains(&rcode.as_str())) {
            return Err(format!("expect.rcodes: '{other}' is not one of {}", RCODES.join(", ")));
        }
        if !expect.is_empty() && !rcodes.is_empty() && !rcodes.iter().any(|rcode| rcode == "NOERROR") {
            return Err("expect.answers: there are none without NOERROR among expect.rcodes".into());
        }
        let known = record.to_uppercase().parse::<RecordType>();
        let record =
            known.map_err(|_| format!("'{record}' is no type of records like A, AAAA, CNAME, MX, NS, SOA or TXT"))?;
        let resolvers = resolvers.iter().map(|address| Resolver::at(&[*address])).collect::<Result<_, String>>()?;
        let expect = expect.iter().map(|text| (text.clone(), compared(record, text))).collect();
        Ok(DnsCheck { name: asked(name, record)?, record, resolvers, expect, rcodes })
    }

    async fn ask(&self, resolver: &Resolver) -> Result<Answered, Failure> {
        let called = resolver.name();
        // A dot at its end: the name as it is, without the search domains of this machine.
        let name = format!("{}.", self.name.trim_end_matches('.'));
        let found = match resolver.get().lookup(name, self.record).await {
            Ok(found) => found,
            Err(error) => {
                if let Some(rcode) = rcode_of(&error).filter(|rcode| self.rcodes.contains(rcode)) {
                    let (records, is_authoritative, is_authentic) = (BTreeMap::new(), false, false);
                    return Ok(Answered { rcode, records, is_authoritative, is_authentic });
                }
                let Failure { class, message } = of_lookup(&self.name, &error);
                return Err(class.because(format!("{message} (asked {called})")));
            }
        };
        if !self.rcodes.is_empty() && !self.rcodes.iter().any(|rcode| rcode == "NOERROR") {
            let (name, wanted) = (&self.name, self.rcodes.join(" or "));
            let reason = format!("dns: {called} answers NOERROR for {name}, expected {wanted}");
            return Err(Class::DnsAnswers.because(reason));
        }
        let own = found.answers().iter().filter(|record| record.record_type() == self.record);
        let shown = own.map(|record| record.data.to_string());
        let records: BTreeMap<String, String> = shown.map(|text| (compared(self.record, &text), text)).collect();
        if let Some((missing, _)) = self.expect.iter().find(|(_, expected)| !records.contains_key(expected)) {
            let list = records.into_values().collect::<Vec<_>>().join(", ");
            return Err(
                Class::DnsAnswers.because(format!("dns: {called} answers {list} for {}, and not {missing}", self.name))
            );
        }
        let metadata = &found.message().metadata;
        Ok(Answered {
            rcode: "NOERROR".into(),
            records,
            is_authoritative: metadata.authoritative,
            is_authentic: metadata.authentic_data,
        })
    }
}

impl Check for DnsCheck {
    fn kind(&self) -> &'static str {
        "dns"
    }

    fn run<'a>(&'a self, _: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let resolvers = match &self.resolvers[..] {
                [] => std::slice::from_ref(network.servers()?),
                own => own,
            };
            let asked = resolvers.iter().map(|resolver| self.ask(resolver));
            let answers = findings.time(Phase::Dns, join_all(asked)).await;
            let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
            let all: BTreeMap<&String, &String> = answers.iter().flat_map(|answer| &answer.records).collect();
            let list = all.values().map(|record| record.as_str()).collect::<Vec<_>>().join(", ");
            let rcodes: BTreeSet<&str> = answers.iter().map(|answer| answer.rcode.as_str()).collect();
            findings.fields.extend([
                ("rcode", Field::Str(rcodes.into_iter().collect::<Vec<_>>().join(", "))),
                ("answers", Field::Str(list)),
                ("answer_count", Field::I64(all.len() as i64)),
                ("resolvers_agree", Field::Bool(answers.iter().all(|answer| answer.records.len() == all.len()))),
                ("authoritative", Field::Bool(answers.iter().all(|answer| answer.is_authoritative))),
                ("dnssec", Field::Bool(answers.iter().all(|answer| answer.is_authentic))),
            ]);
            Ok(())
        })
    }
}

/// A name as servers are asked for it: escapes resolved, other letters than those of ASCII as IDNA has them, an address
/// as the name that has its PTR.
fn asked(name: &str, record: RecordType) -> Result<String, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("'{name}' is not a name: {why}");
    let text = percent_decode_str(name).decode_utf8().map_err(|error| wrong(&error))?;
    if text.is_empty() {
        return Err("a name is missing, as in dns:example.org".into());
    }
    let address = text.trim_matches(['[', ']']).parse::<IpAddr>();
    if let (Ok(address), RecordType::PTR) = (&address, record) {
        return Ok(Name::from(*address).to_string());
    }
    match Host::parse(text.trim_end_matches('.')) {
        _ if text == "." => Ok(text.into_owned()),
        Ok(Host::Domain(name)) => Ok(name),
        // Names may have more letters than hosts.
        _ if address.is_err() && text.is_ascii() => Ok(text.into_owned()),
        Ok(_) => Err(wrong(&"an address has names by type=PTR")),
        Err(error) => Err(wrong(&error)),
    }
}

/// A record as it is compared with others: addresses by their value, names in small letters and without their last dot.
/// What may be written in several ways is one; texts are what they are.
fn compared(record: RecordType, text: &str) -> String {
    let text = text.trim();
    match record {
        RecordType::A | RecordType::AAAA => {
            text.parse::<IpAddr>().map_or_else(|_| text.to_owned(), |address| address.to_canonical().to_string())
        }
        RecordType::TXT | RecordType::CAA | RecordType::HINFO => text.trim_matches('"').to_owned(),
        _ => {
            let words = text.split_ascii_whitespace().map(|word| match word.trim_end_matches('.') {
                "" => word.to_owned(), // the root
                word => word.to_ascii_lowercase(),
            });
            words.collect::<Vec<_>>().join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::ask::Ask;

    /// `Mail.Example.ORG` was not among the answers where `mail.example.org.` was.
    #[test]
    fn records_are_compared_as_values() {
        for (record, one, other, is_same) in [
            (RecordType::MX, "10 Mail.Example.ORG", "10  mail.example.org.", true),
            (RecordType::MX, "20 mail.example.org.", "10 mail.example.org.", false),
            (RecordType::AAAA, "2001:DB8:0:0::1", "2001:db8::1", true),
            (RecordType::A, "192.0.2.1", "192.0.2.10", false),
            (RecordType::CNAME, "a.example.", "A.example", true),
            (RecordType::TXT, "\"v=spf1 -all\"", "v=spf1 -all", true),
            (RecordType::TXT, "Token", "token", false),
            (RecordType::MX, "0 .", "0 .", true),
        ] {
            assert_eq!(compared(record, one) == compared(record, other), is_same, "{one} {other}");
        }
    }

    #[test]
    fn names_are_asked_for_as_servers_know_them() {
        for (name, record, expected) in [
            ("example.org", RecordType::A, "example.org"),
            ("M%C3%BCnchen.example", RecordType::A, "xn--mnchen-3ya.example"),
            ("_dmarc.example.org", RecordType::TXT, "_dmarc.example.org"),
            ("192.0.2.1", RecordType::PTR, "1.2.0.192.in-addr.arpa."),
        ] {
            assert_eq!(asked(name, record).as_deref(), Ok(expected), "{name}");
        }
        for (name, record) in [("", RecordType::A), ("192.0.2.1", RecordType::A), ("%FF", RecordType::A)] {
            assert!(asked(name, record).is_err(), "{name}");
        }
    }

    /// What was not known in an address was not heeded, and nobody was told.
    #[test]
    fn unknown_parts_of_an_address_are_refused() {
        let made = |address: &str| crate::Target::new(address, Ask::default()).map(|target| target.kind());
        for address in [
            "dns:example.org?type=MX",
            "dns:///example.org",
            "icmp:a.example",
            "tls://a.example/",
            "tcp://a.example:25",
        ] {
            assert!(made(address).is_ok(), "{address}: {:?}", made(address));
        }
        for address in [
            "dns:example.org?typ=MX",
            "dns://192.0.2.53/example.org",
            "tcp://a.example:25/path",
            "tls://a.example?sni=b",
            "tls://user@a.example",
            "icmp:a.example?count=3",
        ] {
            assert!(made(address).is_err(), "{address}");
        }
    }
}
