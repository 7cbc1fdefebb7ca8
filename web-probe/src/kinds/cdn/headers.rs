//! The headers of an answer, read as lists, as structured fields and as numbers.

use hyper::HeaderMap;
use sfv::{BareItem, Item, List, ListEntry, Parser};

use super::verdict::Verdict;

/// The headers of an answer, by lower-case names.
pub(super) struct Headers<'a>(pub &'a HeaderMap);

impl<'a> Headers<'a> {
    pub(super) fn values(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a str> + use<'a> {
        self.0.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::trim)
    }

    pub(super) fn has(&self, name: &str, part: &str) -> bool {
        self.values(name).any(|value| value.contains(part))
    }

    /// Members of a header that is a list, on one line or several, in their order.
    pub(super) fn members(&self, name: &str) -> Vec<&'a str> {
        self.values(name).flat_map(|value| split(value, b',')).filter(|member| !member.is_empty()).collect()
    }

    /// The member that the cache nearest to us put there.
    pub(super) fn last(&self, name: &str) -> Option<&'a str> {
        self.members(name).pop()
    }

    /// Seconds. Of a list the first counts (RFC 9111, section 5.1: a cache that adds one adds it behind).
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        delta_seconds(self.members(name).first()?)
    }

    /// What the nearest cache says in a word that most use.
    pub(super) fn word(&self, name: &str) -> Option<Verdict> {
        word(self.last(name)?)
    }

    /// The parameters of the last member of `Cache-Status` (RFC 9211), which is of the cache nearest to us. What does
    /// not follow the grammar of structured fields (RFC 9651) is left out whole, as that says.
    fn nearest(&self) -> Option<Item> {
        let text = self.values("cache-status").collect::<Vec<_>>().join(", ");
        match Parser::new(&text).parse::<List>().ok()?.pop()? {
            ListEntry::Item(item) => Some(item),
            ListEntry::InnerList(_) => None,
        }
    }

    /// What `Cache-Status` says.
    pub(super) fn cache_status(&self) -> Option<Verdict> {
        let nearest = self.nearest()?;
        let value = |name: &str| nearest.params.iter().find(|(key, _)| key.as_str() == name).map(|(_, value)| value);
        let fwd = value("fwd").and_then(|value| match value {
            BareItem::Token(token) => Some(token.as_str()),
            _ => None,
        });
        let is_hit = matches!(value("hit"), Some(BareItem::Boolean(true)));
        let is_old = matches!(value("ttl"), Some(BareItem::Integer(ttl)) if i64::from(*ttl) < 0);
        let is_304 = matches!(value("fwd-status"), Some(BareItem::Integer(status)) if i64::from(*status) == 304);
        match fwd {
            _ if is_hit => Some(if is_old { Verdict::Stale } else { Verdict::Hit }),
            Some("bypass" | "method" | "request") => Some(Verdict::Bypass),
            Some("stale") if is_304 => Some(Verdict::Revalidated),
            Some(_) => Some(Verdict::Miss),
            None => None,
        }
    }

    /// How long the nearest cache says that it is still good; below 0 since when it is not.
    fn ttl_s(&self) -> Option<i64> {
        let nearest = self.nearest()?;
        nearest.params.iter().find_map(|(key, value)| match value {
            BareItem::Integer(ttl) if key.as_str() == "ttl" => Some(i64::from(*ttl).clamp(-SECONDS_MAX, SECONDS_MAX)),
            _ => None,
        })
    }

    /// How long the cache may keep it: what it says of itself, in the standard's words or the vendor's, goes before
    /// what it was told (RFC 9213, then RFC 9111, section 4.2.1), as operators may have told it otherwise.
    pub(super) fn lifetime_s(&self) -> Option<i64> {
        let own = self.ttl_s().map(|left_s| self.number("age").unwrap_or(0) + left_s);
        own.or_else(|| self.number("x-swift-cachetime"))
            .or_else(|| self.number("x-ccdn-cachettl"))
            .or_else(|| self.seconds("cdn-cache-control", "max-age"))
            .or_else(|| self.seconds("cache-control", "s-maxage"))
            .or_else(|| self.seconds("cache-control", "max-age"))
            .or_else(|| self.until_expires_s())
    }

    /// From `Date` to `Expires`. One that is no date is over, as `Expires: 0` and `-1` are meant.
    fn until_expires_s(&self) -> Option<i64> {
        let expires = self.values("expires").next()?;
        let date = |text: &str| httpdate::parse_http_date(text).ok();
        let Some(expires) = date(expires) else { return Some(0) };
        let sent = date(self.values("date").next()?)?;
        Some(expires.duration_since(sent).map_or(0, |left| (left.as_secs() as i64).min(SECONDS_MAX)))
    }

    /// The seconds of a directive.
    fn seconds(&self, name: &str, wanted: &str) -> Option<i64> {
        let directives = self.members(name).into_iter().filter_map(|directive| directive.split_once('='));
        let (_, value) = directives.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
        delta_seconds(value.trim().trim_matches('"'))
    }
}

/// Longer is as good as for ever.
const SECONDS_MAX: i64 = 1 << 31;

/// Seconds as RFC 9111, section 1.2.2, has them: what is more than 2^31 is taken for that.
fn delta_seconds(text: &str) -> Option<i64> {
    text.parse::<u64>().ok().map(|seconds| seconds.min(SECONDS_MAX as u64) as i64)
}

/// The value of a parameter behind a member of a list; empty if it has none.
pub(super) fn parameter<'a>(member: &'a str, name: &str) -> Option<&'a str> {
    let parameters = split(member, b';').skip(1);
    let mut parameters = parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")));
    parameters.find(|(own, _)| *own == name).map(|(_, value)| value)
}

/// The parts of a text between separators that are in no quotes, without the spaces around them.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let parts = text.split(move |letter: char| {
        is_quoted ^= letter == '"';
        letter == char::from(separator) && !is_quoted
    });
    parts.map(str::trim)
}

/// A verdict as most caches write it: `HIT`, `Miss from cloudfront`, `TCP_REFRESH_HIT from ...`, `HIT TCP_MEM_HIT
/// dirn:2:11`.
pub(super) fn word(text: &str) -> Option<Verdict> {
    let first = text.split_whitespace().next()?.to_ascii_uppercase().replace('-', "_");
    Some(match first.as_str() {
        "HIT" | "TCP_HIT" | "TCP_MEM_HIT" | "TCP_IMS_HIT" | "TCP_REMOTE_HIT" | "TCP_NEGATIVE_HIT" | "PARTIAL_HIT"
        | "HIT_FRESH" | "HIT_FRONT" | "HIT_CLUSTER" | "EDGE_HIT" | "PRERENDER" => Verdict::Hit,
        "STALE" | "UPDATING" | "TCP_REFRESH_FAIL_HIT" | "TCP_STALE_HIT" | "HIT_STALE" => Verdict::Stale,
        "MISS" | "EXPIRED" | "SCARCE" | "TCP_MISS" | "TCP_REFRESH_MISS" | "TCP_EXPIRED_MISS" | "PARTIAL_MISS"
        | "ORIGINSHIELDHIT" | "MISS_CLUSTER" | "EDGE_MISS" => Verdict::Miss,
        "REVALIDATED"
        | "REVALIDATE"
        | "REFRESHHIT"
        | "TCP_REFRESH_HIT"
        | "TCP_REVALIDATED_HIT"
        | "TCP_REFRESH_UNMODIFIED" => Verdict::Revalidated,
        "BYPASS"
        | "PASS"
        | "DYNAMIC"
        | "SKIP"
        | "SKIPPED"
        | "CONFIG_NOCACHE"
        | "PRIVATE_NOSTORE"
        | "NOTCACHEABLE"
        | "TCP_COOKIE_DENY"
        | "CACHE_NOCONFIG"
        | "LAMBDAGENERATEDRESPONSE"
        | "FUNCTIONGENERATEDRESPONSE"
        | "NO_CACHE"
        | "NOCACHE"
        | "UNCACHEABLE" => Verdict::Bypass,
        _ => return None,
    })
}
