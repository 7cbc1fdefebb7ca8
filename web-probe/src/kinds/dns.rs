//! `dns:name?type=A`: what resolvers answer, and whether they agree.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::join_all;
use hickory_resolver::proto::rr::RecordType;

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
    takes: &[Setting::Answers],
    make: |url, ask| {
        let record = url.query_pairs().find(|(key, _)| key == "type").map_or("A".into(), |(_, value)| value);
        let name = url.path().trim_start_matches('/').to_owned();
        Ok(Arc::new(DnsCheck::new(name, &record, &ask.resolvers, ask.answers)?))
    },
};

/// Records of a name, asked of some resolvers at the same time.
#[derive(Debug)]
pub(crate) struct DnsCheck {
    name: String,
    record: RecordType,
    resolvers: Vec<Resolver>,
    /// What has to be among the answers of each of them.
    expect: Vec<String>,
}

/// What a resolver answered.
struct Answered {
    records: BTreeSet<String>,
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
        name: String,
        record: &str,
        resolvers: &[SocketAddr],
        expect: Vec<String>,
    ) -> Result<DnsCheck, String> {
        let known = record.to_uppercase().parse::<RecordType>();
        let record =
            known.map_err(|_| format!("'{record}' is no type of records like A, AAAA, CNAME, MX, NS, SOA or TXT"))?;
        let mut all: Vec<Resolver> =
            resolvers.iter().map(|address| Resolver::at(&[*address])).collect::<Result<_, String>>()?;
        if all.is_empty() {
            all.push(Resolver::system()?);
        }
        Ok(DnsCheck { name, record, resolvers: all, expect })
    }

    async fn ask(&self, resolver: &Resolver) -> Result<Answered, Failure> {
        let called = resolver.name();
        // A dot at its end: the name as it is, without the search domains of this machine.
        let name = format!("{}.", self.name.trim_end_matches('.'));
        let found = resolver.get().lookup(name, self.record).await.map_err(|error| {
            let Failure { class, message } = of_lookup(&self.name, &error);
            class.because(format!("{message} (asked {called})"))
        })?;
        let own = found.answers().iter().filter(|record| record.record_type() == self.record);
        let records: BTreeSet<String> = own.map(|record| record.data.to_string()).collect();
        if let Some(missing) = self.expect.iter().find(|expected| !records.contains(*expected)) {
            let list = records.into_iter().collect::<Vec<_>>().join(", ");
            return Err(
                Class::DnsAnswers.because(format!("dns: {called} answers {list} for {}, and not {missing}", self.name))
            );
        }
        let metadata = &found.message().metadata;
        Ok(Answered { records, is_authoritative: metadata.authoritative, is_authentic: metadata.authentic_data })
    }
}

impl Check for DnsCheck {
    fn kind(&self) -> &'static str {
        "dns"
    }

    fn run<'a>(&'a self, _: &'a Terms, _: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let asked = self.resolvers.iter().map(|resolver| self.ask(resolver));
            let answers = findings.time(Phase::Dns, join_all(asked)).await;
            let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
            let all: BTreeSet<&String> = answers.iter().flat_map(|answer| &answer.records).collect();
            let list = all.iter().map(|record| record.as_str()).collect::<Vec<_>>().join(", ");
            findings.fields.extend([
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
