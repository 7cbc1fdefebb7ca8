//! What templates of requests know.

use std::collections::BTreeMap;

use minijinja::{Value, context};

use crate::base::clock::{now_ms, rfc3339};
use crate::base::text::{id, target};
use crate::notices::channel::Channel;
use crate::notices::told::{Notice, Told};
use crate::notices::words::{ALERTS_MAX, counts, gravest, level, plain, span, subject, summary};

/// Longer texts are cut: what a target says must not keep anybody from being told.
const SUMMARY_LETTERS_MAX: usize = 2000;
const TEXT_LETTERS_MAX: usize = 64_000;

fn cut(text: &str, letters_max: usize) -> &str {
    text.char_indices().nth(letters_max).map_or(text, |(end, _)| &text[..end])
}

/// All names that templates know, but for those of the channel's own tables.
pub(super) fn of(channel: &Channel, notice: &Notice, external_url: &str) -> BTreeMap<String, Value> {
    let (firing, resolved) = counts(notice);
    let now = now_ms();
    let all = context! {
        notice => &notice.id,
        channel => &channel.name,
        group => &notice.group,
        url => &channel.url,
        host => channel.url.parse::<hyper::Uri>().ok().and_then(|url| Some(url.authority()?.as_str().to_owned())),
        external_url => external_url,
        // `firing`, until all of it is over.
        status => if firing > 0 { "firing" } else { "resolved" },
        level => gravest(notice),
        firing => firing,
        resolved => resolved,
        count => notice.alerts.len(),
        title => subject(notice),
        text => cut(&plain(notice, external_url), TEXT_LETTERS_MAX),
        alerts => notice.alerts.iter().take(ALERTS_MAX).map(alert).collect::<Vec<_>>(),
        now => time(now),
        // Another one at every attempt.
        nonce => id([notice.id.as_str(), now.to_string().as_str()]),
    };
    let names = all.try_iter().into_iter().flatten();
    names.filter_map(|name| Some((name.as_str()?.to_owned(), all.get_item(&name).ok()?))).collect()
}

fn alert(own: &Told) -> Value {
    context! {
        id => &own.alert,
        status => own.status.name(),
        severity => &own.severity,
        level => level(own),
        labels => &own.labels,
        annotations => &own.annotations,
        name => own.labels.get("alertname").map_or("", String::as_str),
        target => target(|name| own.labels.get(name).map(String::as_str)),
        summary => cut(summary(own), SUMMARY_LETTERS_MAX),
        span => span(own),
        value => own.value,
        starts => time(own.starts_ms),
        ends => own.ends_ms.map(time),
    }
}

/// A time in the ways in which services want it: UTC.
fn time(ms: i64) -> Value {
    let iso = rfc3339(Some(ms.div_euclid(1000) * 1000));
    context! { ms => ms, s => ms.div_euclid(1000), date => iso.get(..10), iso => iso }
}
