//! `http://` and `https://`: a request, and what its answer has to be.

use std::sync::Arc;

use url::Url;

use super::web;
use crate::base::terms::Terms;
use crate::checks::ask::Ask;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting};
use crate::checks::memory::Memory;
use crate::found::field::Field;
use crate::found::findings::Findings;
use crate::http::{Cookies, Expect, HttpAsk, follow};
use crate::net::network::Network;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: web::SCHEMES,
    aliases: &[],
    is_asked: |_| true,
    takes: &Setting::WEB,
    make: |url, ask| {
        web::check(&url, &ask)?;
        let Ask { http, expect, .. } = ask;
        Ok(Arc::new(HttpCheck { url, ask: expect.applied_to(http), expect, content: Memory::default() }))
    },
};

/// A request, and what its answer has to be.
#[derive(Debug)]
pub(crate) struct HttpCheck {
    pub url: Url,
    pub ask: HttpAsk,
    pub expect: Expect,
    /// The hash of the content in the slot before.
    pub content: Memory<Option<String>>,
}

impl Check for HttpCheck {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            // Some sites lead in a circle whoever does not keep their cookies.
            let mut cookies = Cookies::default();
            let (answer, url) = follow(terms, network, &self.url, &self.ask, Some(&mut cookies), findings).await?;
            findings.fields.push(("protocol", Field::Str(answer.protocol.into())));
            if self.expect.watch_content && self.expect.status_is_up(answer.status) {
                let sha256 = self.expect.content_sha256(&answer)?;
                let before = self.content.with(|content| content.replace(sha256.clone()));
                findings.fields.extend(before.map(|before| ("content_changed", Field::Bool(before != sha256))));
                findings.fields.push(("content_sha256", Field::Str(sha256)));
            }
            self.expect.judge(&answer, &url)
        })
    }
}
