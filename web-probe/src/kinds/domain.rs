//! `domain:example.org`: until when a name is registered, and how, as its registry says over RDAP (RFC 9082, RFC 9083).
//! Which registry is asked says IANA's list (RFC 9224), which is kept for a day.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::tables::PROBE;
use domain::{Column, Unit, duration, instant};
use hyper::header::{ACCEPT, HeaderValue};
use serde::Deserialize;
use tsdb::{FieldType, now_ns};
use url::{Host, Url};

use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking, MoreColumns};
use crate::checks::kind::Kind;
use crate::checks::memory::Memory;
use crate::found::failure::{Class, Failure};
use crate::found::field::Field;
use crate::found::findings::Findings;
use crate::http::{HttpAsk, follow};
use crate::net::network::Network;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: &["domain"],
    aliases: &[],
    is_asked: |_| true,
    takes: &[],
    make: |url, _| {
        let (mut server, mut within) = (None, Duration::ZERO);
        for (key, value) in url.query_pairs() {
            match &*key {
                "server" => server = Some(base(&value)?),
                "expires_within" => within = duration::parse(&value)?,
                _ => return Err(format!("'{key}={value}' is not known; expires_within=30d and server=https:// are")),
            }
        }
        let text = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy();
        match Host::parse(text.trim_end_matches('.')) {
            Ok(Host::Domain(name)) if name.contains('.') && url.cannot_be_a_base() => {
                Ok(Arc::new(DomainCheck { name, server, within, bootstrap: Memory::default() }))
            }
            _ => Err(format!("'{text}' is no name that is registered, as in domain:example.org")),
        }
    },
};

/// IANA's list of registries.
const BOOTSTRAP: &str = "https://data.iana.org/rdap/dns.json";
/// So long it is kept.
const BOOTSTRAP_AGE_MAX: Duration = Duration::from_hours(24);
/// It has a megabyte in a few years; an answer of a registry some kilobytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Such a name is not in the zone, or is about to go.
const BAD_STATUSES: [&str; 6] =
    ["client hold", "server hold", "redemption period", "pending delete", "inactive", "pending restore"];

/// A name that is registered.
#[derive(Debug)]
struct DomainCheck {
    name: String,
    /// Who is asked, if it is not who IANA says.
    server: Option<Url>,
    /// It is down when it ends so soon.
    within: Duration,
    bootstrap: Memory<Option<(Instant, Url)>>,
}

/// An address to which paths are added.
fn base(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let mut url = url.ok_or_else(|| format!("'{text}' is not an address like https://rdap.example/"))?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

impl Check for DomainCheck {
    fn kind(&self) -> &'static str {
        "domain"
    }

    /// What changes once a year is asked for a few times a day.
    fn usual_interval(&self) -> Duration {
        Duration::from_hours(6)
    }

    fn columns(&self) -> &'static [MoreColumns] {
        const OWN: &[Column] = &[
            Column::new("domain_expires_s", FieldType::I64, Unit::S),
            Column::text("domain_status"),
            Column::text("registrar"),
        ];
        &[MoreColumns { table: PROBE.name, tags: PROBE.tags, fields: OWN }]
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let server = match &self.server {
                Some(server) => server.clone(),
                None => self.registry(terms, network).await?,
            };
            let url = server.join(&format!("domain/{}", self.name));
            let url = url.map_err(|error| Class::Protocol.because(format!("rdap: {server}: {error}")))?;
            let (status, body) = fetch(terms, network, &url, findings).await?;
            match status {
                200 => self.judge(&read(&body, &url)?, now_ns(), findings),
                404 => Err(Class::DomainUnknown.because(format!("the registry does not know {}", self.name))),
                status => Err(Class::Status.because(format!("rdap: {url} answers {status}, expected 200"))),
            }
        })
    }
}

impl DomainCheck {
    /// Who keeps the names that this one is of.
    async fn registry(&self, terms: &Terms, network: &Network) -> Result<Url, Failure> {
        let known = self.bootstrap.with(|known| known.clone());
        if let Some((_, url)) = known.filter(|(since, _)| since.elapsed() < BOOTSTRAP_AGE_MAX) {
            return Ok(url);
        }
        let list = Url::parse(BOOTSTRAP).expect("it is an address");
        let (status, body) = fetch(terms, network, &list, &mut Findings::default()).await?;
        if status != 200 {
            return Err(Class::Status.because(format!("rdap: {list} answers {status}, expected 200")));
        }
        let url = registry_of(&read::<Registries>(&body, &list)?, &self.name).ok_or_else(|| {
            Class::DomainUnknown.because(format!("no registry of {} speaks RDAP; server=https:// names one", self.name))
        })?;
        self.bootstrap.with(|known| *known = Some((Instant::now(), url.clone())));
        Ok(url)
    }

    fn judge(&self, found: &Registered, now: i64, findings: &mut Findings) -> Result<(), Failure> {
        let name = &self.name;
        let statuses = found.status.join(", ");
        let registrar = found.entities.iter().find(|entity| entity.roles.iter().any(|role| role == "registrar"));
        let registrar = registrar.and_then(Entity::name);
        findings.fields.push(("domain_status", Field::Str(statuses)));
        findings.fields.extend(registrar.map(|registrar| ("registrar", Field::Str(registrar))));
        let expiration = found.events.iter().find(|event| event.action == "expiration");
        let expires = expiration.and_then(|event| instant::parse(&event.date).ok());
        let left_s = expires.map(|expires| expires.saturating_sub(now).div_euclid(1_000_000_000));
        findings.fields.extend(left_s.map(|left| ("domain_expires_s", Field::I64(left))));
        let is_bad = |status: &&String| BAD_STATUSES.iter().any(|bad| status.eq_ignore_ascii_case(bad));
        if let Some(status) = found.status.iter().find(is_bad) {
            return Err(Class::DomainStatus.because(format!("{name} is in the status '{status}'")));
        }
        let days = |seconds: i64| seconds.div_euclid(86_400);
        match left_s {
            Some(left) if left < 0 => {
                Err(Class::DomainExpired.because(format!("the registration of {name} ended {} days ago", days(-left))))
            }
            Some(left) if left < i64::try_from(self.within.as_secs()).unwrap_or(i64::MAX) => {
                let reason = format!("the registration of {name} ends in {} days", days(left));
                Err(Class::DomainExpired.because(reason))
            }
            // Some registries do not say it: then nothing can be promised of it.
            None if !self.within.is_zero() => {
                Err(Class::DomainExpired.because(format!("the registry does not say when {name} ends")))
            }
            _ => Ok(()),
        }
    }
}

async fn fetch(
    terms: &Terms,
    network: &Network,
    url: &Url,
    findings: &mut Findings,
) -> Result<(u16, Vec<u8>), Failure> {
    let mut ask = HttpAsk { body_bytes_kept: ANSWER_BYTES_MAX, ..HttpAsk::default() };
    ask.headers.insert(ACCEPT, HeaderValue::from_static("application/rdap+json, application/json"));
    let (answer, _) = follow(terms, network, url, &ask, None, findings).await?;
    Ok((answer.status, answer.body))
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8], url: &Url) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Class::Protocol.because(format!("rdap: the answer of {url}: {error}")))
}

/// What a registry says of a name, as far as it is looked at.
#[derive(Debug, Deserialize)]
struct Registered {
    #[serde(default)]
    events: Vec<Event>,
    #[serde(default)]
    status: Vec<String>,
    #[serde(default)]
    entities: Vec<Entity>,
}

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "eventAction", default)]
    action: String,
    #[serde(rename = "eventDate", default)]
    date: String,
}

#[derive(Debug, Deserialize)]
struct Entity {
    #[serde(default)]
    roles: Vec<String>,
    #[serde(rename = "vcardArray", default)]
    card: serde_json::Value,
}

impl Entity {
    /// What it is called, by its jCard (RFC 7095).
    fn name(&self) -> Option<String> {
        let mut properties = self.card.get(1)?.as_array()?.iter();
        let name = properties.find(|property| property.get(0).is_some_and(|kind| kind == "fn"))?;
        name.get(3)?.as_str().map(str::to_owned)
    }
}

/// IANA's list: endings of names, and who keeps them.
#[derive(Debug, Deserialize)]
struct Registries {
    services: Vec<(Vec<String>, Vec<String>)>,
}

/// The registry of the longest ending of a name.
fn registry_of(list: &Registries, name: &str) -> Option<Url> {
    let ends = |ending: &String| {
        let rest = name.strip_suffix(ending.to_ascii_lowercase().trim_start_matches('.'));
        rest.is_some_and(|rest| rest.ends_with('.'))
    };
    let found = list.services.iter().filter_map(|(endings, servers)| {
        let ending = endings.iter().filter(|ending| ends(ending)).max_by_key(|ending| ending.len())?;
        let servers = || servers.iter().filter_map(|server| base(server).ok());
        let server = servers().find(|server| server.scheme() == "https").or_else(|| servers().next())?;
        Some((ending.len(), server))
    });
    found.max_by_key(|(length, _)| *length).map(|(_, server)| server)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As RFC 9224 shows it.
    #[test]
    fn the_longest_ending_says_whose_a_name_is() {
        let list = r#"{"version":"1.0","services":[
            [["net","com"],["https://registry.example.com/myrdap/"]],
            [["org","mytld"],["http://example.org/","https://example.org"]],
            [["co.uk"],["https://uk.example/"]], [["uk"],["https://all.example/"]]]}"#;
        let list: Registries = serde_json::from_str(list).unwrap();
        let of = |name| registry_of(&list, name).map(String::from);
        assert_eq!(of("a.b.example.com").as_deref(), Some("https://registry.example.com/myrdap/"));
        assert_eq!(of("example.org").as_deref(), Some("https://example.org/"));
        assert_eq!(of("example.co.uk").as_deref(), Some("https://uk.example/"));
        assert_eq!(of("example.uk").as_deref(), Some("https://all.example/"));
        assert_eq!(of("example.forum").as_deref(), None);
        assert_eq!(of("welcom").as_deref(), None);
    }

    fn judged(within: &str, answer: &str) -> (Option<Class>, Vec<(&'static str, Field)>) {
        let check = DomainCheck {
            name: "example.org".into(),
            server: None,
            within: duration::parse(within).unwrap(),
            bootstrap: Memory::default(),
        };
        let mut findings = Findings::default();
        let now = instant::parse("2026-11-01T00:00:00Z").unwrap();
        let judged = check.judge(&serde_json::from_str(answer).unwrap(), now, &mut findings);
        (judged.err().map(|failure| failure.class), findings.fields)
    }

    #[test]
    fn a_registration_is_down_when_it_ends_soon_or_is_on_hold() {
        let of = |date: &str, status: &str| {
            format!(
                r#"{{"events":[{{"eventAction":"registration","eventDate":"1995-08-14T04:00:00Z"}},
                {{"eventAction":"expiration","eventDate":"{date}"}}],"status":["{status}"],
                "entities":[{{"roles":["registrar"],"vcardArray":["vcard",[["version",{{}},"text","4.0"],["fn",{{}},"text","Example Inc."]]]}}]}}"#
            )
        };
        let (class, fields) = judged("30d", &of("2026-12-02T00:00:00Z", "active"));
        assert_eq!(class, None);
        assert!(fields.contains(&("domain_expires_s", Field::I64(31 * 86_400))), "{fields:?}");
        assert!(fields.contains(&("registrar", Field::Str("Example Inc.".into()))), "{fields:?}");
        assert_eq!(judged("32d", &of("2026-12-02T00:00:00Z", "active")).0, Some(Class::DomainExpired));
        assert_eq!(judged("0s", &of("2026-10-31T23:59:59Z", "active")).0, Some(Class::DomainExpired));
        assert_eq!(judged("0s", &of("2026-12-02T00:00:00Z", "client Hold")).0, Some(Class::DomainStatus));
        // Some registries do not say when.
        assert_eq!(judged("0s", r#"{"status":["active"]}"#).0, None);
        assert_eq!(judged("30d", r#"{"status":["active"]}"#).0, Some(Class::DomainExpired));
    }

    #[test]
    fn an_address_is_a_name_that_is_registered() {
        let made = |address: &str| (KIND.make)(Url::parse(address).unwrap(), crate::Ask::default());
        let server = made("domain:M%C3%BCnchen.example?server=http://127.0.0.1:1/rdap&expires_within=30d").unwrap();
        assert!(format!("{server:?}").contains("xn--mnchen-3ya.example"), "{server:?}");
        for address in [
            "domain:example",
            "domain:192.0.2.1",
            "domain://example.org",
            "domain:example.org?in=1d",
            "domain:a.b?server=x",
        ] {
            assert!(made(address).is_err(), "{address}");
        }
    }
}
