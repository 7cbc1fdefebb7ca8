//! What the headers of an answer say about the cache that it came from: a table of vendors, each with the headers that
//! tell it, its own words, and where it stands.
//!
//! Every vendor says it in its own way, and some say `HIT` on what they did not have. A rule is in the table with a
//! test line for each word and each trap; what no rule knows is `unknown`, and never taken for a miss.

use hyper::HeaderMap;

/// How a cache came by its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It had it, and it was fresh.
    Hit,
    /// It had it, and gave it although its time was over.
    Stale,
    /// It had to fetch it.
    Miss,
    /// It had it, and asked the origin whether it is still good.
    Revalidated,
    /// It is not to keep it.
    Bypass,
    /// The headers do not say.
    Unknown,
}

impl Verdict {
    /// Its name in the column `cache`.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Hit => "hit",
            Verdict::Stale => "stale",
            Verdict::Miss => "miss",
            Verdict::Revalidated => "revalidated",
            Verdict::Bypass => "bypass",
            Verdict::Unknown => "unknown",
        }
    }
}

/// What the headers of an answer say about the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Whose cache it is, as far as one can see.
    pub vendor: Option<&'static str>,
    pub verdict: Verdict,
    /// The place that it stands at, in the vendor's own letters.
    pub pop: Option<String>,
    /// How long ago it was fetched or found good.
    pub age_s: Option<i64>,
    /// How long it is good from then on.
    pub lifetime_s: Option<i64>,
}

/// A vendor: a header that only its caches send (with a part of the value where others send it, too), what it says, and
/// where it stands.
struct Vendor {
    name: &'static str,
    signs: &'static [(&'static str, &'static str)],
    verdict: fn(&Headers<'_>) -> Option<Verdict>,
    pop: fn(&Headers<'_>) -> Option<String>,
}

/// From the most telling sign to the least: some vendors' caches are built of another one's parts, and send its
/// headers, too.
const VENDORS: [Vendor; 15] = [
    Vendor {
        name: "cloudflare",
        signs: &[("cf-cache-status", ""), ("cf-ray", "")],
        verdict: |headers| headers.word("cf-cache-status"),
        pop: |headers| headers.last("cf-ray")?.rsplit_once('-').map(|(_, pop)| pop.to_owned()),
    },
    // With shields there is a value for each of them, the edge being the last.
    Vendor {
        name: "fastly",
        signs: &[("x-served-by", "cache-"), ("x-fastly-request-id", "")],
        verdict: |headers| headers.word("x-cache"),
        pop: |headers| headers.last("x-served-by")?.rsplit_once('-').map(|(_, pop)| pop.to_owned()),
    },
    Vendor {
        name: "cloudfront",
        signs: &[("x-amz-cf-id", ""), ("x-cache", "cloudfront")],
        verdict: |headers| headers.word("x-cache"),
        pop: |headers| headers.last("x-amz-cf-pop").map(str::to_owned),
    },
    // X-Cache comes only if a Pragma asks for it, and may not come even then.
    Vendor {
        name: "akamai",
        signs: &[
            ("x-cache", "akamai"),
            ("akamai-cache-status", ""),
            ("x-check-cacheable", ""),
            ("server", "AkamaiGHost"),
            ("x-akamai-transformed", ""),
            ("server-timing", "ak_p"),
        ],
        verdict: akamai,
        pop: |_| None,
    },
    Vendor {
        name: "azure",
        signs: &[("x-azure-ref", ""), ("x-msedge-ref", "")],
        verdict: |headers| headers.word("x-cache"),
        pop: |headers| {
            let place = headers.last("x-msedge-ref")?.split_once("Ref B: ")?.1;
            place.split_whitespace().next().map(str::to_owned)
        },
    },
    Vendor { name: "alibaba", signs: &[("eagleid", ""), ("x-swift-savetime", "")], verdict: alibaba, pop: alibaba_pop },
    Vendor {
        name: "edgeone",
        signs: &[("eo-cache-status", ""), ("eo-log-uuid", "")],
        verdict: |headers| headers.word("eo-cache-status"),
        pop: |_| None,
    },
    Vendor {
        name: "huawei",
        signs: &[("x-hcs-proxy-type", ""), ("x-ccdn-cachettl", ""), ("x-ccdn-req-id-46b1", "")],
        verdict: huawei,
        pop: |headers| {
            let (pop, _) = headers.members("via").into_iter().find_map(|node| node.split_once("-CACHE"))?;
            Some(pop.to_owned())
        },
    },
    Vendor {
        name: "tencent",
        signs: &[("x-nws-log-uuid", ""), ("x-cache-lookup", "Hit From "), ("x-cache-lookup", "Cache ")],
        verdict: lookups,
        pop: |_| None,
    },
    // Ohc-Cache-HIT names the nodes that were passed, and stands on misses, too: it is a sign and no verdict.
    Vendor {
        name: "baidu",
        signs: &[("ohc-cache-hit", ""), ("ohc-file-size", ""), ("ohc-upstream-trace", "")],
        verdict: |headers| headers.word("x-cache-status"),
        pop: |headers| headers.last("ohc-cache-hit")?.split_whitespace().next().map(str::to_owned),
    },
    Vendor {
        name: "wangsu",
        signs: &[("x-via", "Cdn Cache Server"), ("via", "Cdn Cache Server"), ("x-ws-request-id", "")],
        verdict: wangsu,
        pop: wangsu_pop,
    },
    Vendor {
        name: "trafficserver",
        signs: &[("via", "ApacheTrafficServer"), ("server", "ATS/")],
        verdict: traffic_server,
        pop: |_| None,
    },
    Vendor { name: "varnish", signs: &[("x-varnish", "")], verdict: varnish, pop: |_| None },
    Vendor {
        name: "squid",
        signs: &[("x-cache-lookup", " from "), ("via", "(squid")],
        verdict: |headers| headers.word("x-cache"),
        pop: |_| None,
    },
    Vendor {
        name: "nginx",
        signs: &[("x-cache-status", ""), ("x-proxy-cache", "")],
        verdict: |headers| headers.word("x-cache-status").or_else(|| headers.word("x-proxy-cache")),
        pop: |_| None,
    },
];

/// The headers that are kept as they came.
const KEPT: [&str; 42] = [
    "age",
    "cache-control",
    "cache-status",
    "cdn-cache-control",
    "expires",
    "via",
    "server",
    "x-cache",
    "x-cache-status",
    "x-cache-lookup",
    "x-cache-remote",
    "x-check-cacheable",
    "x-proxy-cache",
    "cf-cache-status",
    "cf-ray",
    "x-served-by",
    "x-cache-hits",
    "x-fastly-request-id",
    "x-amz-cf-id",
    "x-amz-cf-pop",
    "akamai-cache-status",
    "x-akamai-transformed",
    "server-timing",
    "x-azure-ref",
    "x-msedge-ref",
    "eagleid",
    "x-swift-savetime",
    "x-swift-cachetime",
    "eo-cache-status",
    "eo-log-uuid",
    "x-nws-log-uuid",
    "x-hcs-proxy-type",
    "x-ccdn-cachettl",
    "x-ccdn-expires",
    "ohc-cache-hit",
    "ohc-file-size",
    "ohc-upstream-trace",
    "x-via",
    "x-ws-request-id",
    "x-varnish",
    "etag",
    "last-modified",
];

/// Reads the headers of an answer.
pub(crate) fn read(headers: &HeaderMap) -> Reading {
    let headers = Headers(headers);
    let vendor = VENDORS.iter().find(|vendor| vendor.signs.iter().any(|(name, part)| headers.has(name, part)));
    let (age_s, lifetime_s) = (headers.number("age"), headers.lifetime_s());
    // What the standard says is what the cache nearest to us meant; then the vendor's own words, then anybody's.
    let said = headers.cache_status();
    let said = said.or_else(|| vendor.and_then(|vendor| (vendor.verdict)(&headers)));
    let said = said.or_else(|| vendor.is_none().then(|| headers.word("x-cache")).flatten());
    let verdict = match said {
        Some(verdict) => verdict,
        // Only a cache gives an answer that is older than the question.
        None if age_s.is_some_and(|age| age > 0) => Verdict::Hit,
        None => Verdict::Unknown,
    };
    let pop = vendor.and_then(|vendor| (vendor.pop)(&headers));
    Reading { vendor: vendor.map(|vendor| vendor.name), verdict, pop, age_s, lifetime_s }
}

/// The headers about caches as they came, a line each.
pub(crate) fn kept(headers: &HeaderMap) -> String {
    let all = Headers(headers);
    let lines = KEPT.iter().flat_map(|name| all.values(name).map(move |value| format!("{name}: {value}")));
    lines.collect::<Vec<_>>().join("\n")
}

/// The headers of an answer, by lower-case names.
struct Headers<'a>(&'a HeaderMap);

impl<'a> Headers<'a> {
    fn values(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a str> + use<'a> {
        self.0.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::trim)
    }

    fn has(&self, name: &str, part: &str) -> bool {
        self.values(name).any(|value| value.contains(part))
    }

    /// Members of a header that is a list, on one line or several, in their order.
    fn members(&self, name: &str) -> Vec<&'a str> {
        self.values(name).flat_map(|value| split(value, b',')).filter(|member| !member.is_empty()).collect()
    }

    /// The member that the cache nearest to us put there.
    fn last(&self, name: &str) -> Option<&'a str> {
        self.members(name).pop()
    }

    fn number(&self, name: &str) -> Option<i64> {
        delta_seconds(self.last(name)?)
    }

    /// What the nearest cache says in a word that most use.
    fn word(&self, name: &str) -> Option<Verdict> {
        word(self.last(name)?)
    }

    /// What `Cache-Status` (RFC 9211) says under a name: the last member is of the cache nearest to us.
    fn cache_status_value(&self, name: &str) -> Option<&'a str> {
        parameter(self.last("cache-status")?, name)
    }

    /// How long the nearest cache says that it is still good; below 0 since when it is not.
    fn ttl_s(&self) -> Option<i64> {
        let ttl = self.cache_status_value("ttl")?;
        ttl.strip_prefix('-').map_or_else(|| delta_seconds(ttl), |over| delta_seconds(over).map(|over_s| -over_s))
    }

    fn cache_status(&self) -> Option<Verdict> {
        let value = |name| self.cache_status_value(name);
        let is_old = self.ttl_s().is_some_and(|ttl_s| ttl_s < 0);
        match (value("hit"), value("fwd")) {
            (Some(_), _) => Some(if is_old { Verdict::Stale } else { Verdict::Hit }),
            (_, Some("bypass" | "method" | "request")) => Some(Verdict::Bypass),
            (_, Some("stale")) if value("fwd-status") == Some("304") => Some(Verdict::Revalidated),
            (_, Some(_)) => Some(Verdict::Miss),
            (None, None) => None,
        }
    }

    /// How long the cache may keep it: what it says of itself, in the standard's words or the vendor's, goes before
    /// what it was told (RFC 9213, then RFC 9111, section 4.2.1), as operators may have told it otherwise.
    fn lifetime_s(&self) -> Option<i64> {
        let own = self.ttl_s().map(|left_s| self.number("age").unwrap_or(0) + left_s);
        own.or_else(|| self.number("x-swift-cachetime"))
            .or_else(|| self.number("x-ccdn-cachettl"))
            .or_else(|| self.seconds("cdn-cache-control", "max-age"))
            .or_else(|| self.seconds("cache-control", "s-maxage"))
            .or_else(|| self.seconds("cache-control", "max-age"))
    }

    /// The seconds of a directive.
    fn seconds(&self, name: &str, wanted: &str) -> Option<i64> {
        let directives = self.members(name).into_iter().filter_map(|directive| directive.split_once('='));
        let (_, value) = directives.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
        delta_seconds(value.trim().trim_matches('"'))
    }
}

/// Seconds as RFC 9111, section 1.2.2, has them: what is more than 2^31 is taken for that.
fn delta_seconds(text: &str) -> Option<i64> {
    text.parse::<u64>().ok().map(|seconds| seconds.min(1 << 31) as i64)
}

/// The value of a parameter behind a member of a list; empty if it has none.
fn parameter<'a>(member: &'a str, name: &str) -> Option<&'a str> {
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
fn word(text: &str) -> Option<Verdict> {
    let first = text.split_whitespace().next()?.to_ascii_uppercase().replace('-', "_");
    Some(match first.as_str() {
        "HIT" | "TCP_HIT" | "TCP_MEM_HIT" | "TCP_IMS_HIT" | "TCP_REMOTE_HIT" | "TCP_NEGATIVE_HIT" | "PARTIAL_HIT"
        | "HIT_FRESH" | "HIT_CLUSTER" => Verdict::Hit,
        "STALE" | "UPDATING" | "TCP_REFRESH_FAIL_HIT" | "TCP_STALE_HIT" | "HIT_STALE" => Verdict::Stale,
        "MISS" | "EXPIRED" | "SCARCE" | "TCP_MISS" | "TCP_REFRESH_MISS" | "TCP_EXPIRED_MISS" | "PARTIAL_MISS"
        | "ORIGINSHIELDHIT" | "MISS_CLUSTER" => Verdict::Miss,
        "REVALIDATED"
        | "REVALIDATE"
        | "REFRESHHIT"
        | "TCP_REFRESH_HIT"
        | "TCP_REVALIDATED_HIT"
        | "TCP_REFRESH_UNMODIFIED" => Verdict::Revalidated,
        "BYPASS" | "PASS" | "DYNAMIC" | "SKIP" | "SKIPPED" | "CONFIG_NOCACHE" | "PRIVATE_NOSTORE" | "NOTCACHEABLE"
        | "TCP_COOKIE_DENY" => Verdict::Bypass,
        _ => return None,
    })
}

/// `Akamai-Cache-Status: Hit from child`, otherwise `X-Cache: TCP_HIT from a1-2-3-4.deploy.akamaitechnologies.com
/// (AkamaiGHost/...)`; without these `Server-Timing: cdn-cache; desc=HIT`, which its monitoring of users adds. Without
/// a word of its own what is not to be kept says so.
fn akamai(headers: &Headers<'_>) -> Option<Verdict> {
    // The child is the edge, and is named first.
    let own = headers.members("akamai-cache-status").first().and_then(|own| word(own));
    let timing = || headers.members("server-timing").into_iter().find(|member| member.starts_with("cdn-cache"));
    let is_kept_out = || headers.has("x-check-cacheable", "NO").then_some(Verdict::Bypass);
    own.or_else(|| headers.values("x-cache").next().and_then(word))
        .or_else(|| word(parameter(timing()?, "desc")?))
        .or_else(is_kept_out)
}

/// `X-Cache: MISS TCP_REFRESH_MISS dirn:-2:-2`: the second word is the more exact one.
fn alibaba(headers: &Headers<'_>) -> Option<Verdict> {
    let own = headers.last("x-cache")?;
    own.split_once(' ').and_then(|(_, exact)| word(exact)).or_else(|| word(own))
}

/// `Via: cache13.l2cm12[0,0,200-0,H], kunlun2.cn257[0,0,200-0,H]`: the last is the edge. Commas stand inside the
/// brackets, too.
fn alibaba_pop(headers: &Headers<'_>) -> Option<String> {
    let via = headers.values("via").next_back()?;
    let edge = via.rsplit("],").next()?.split('[').next()?.trim();
    edge.rsplit_once('.').map(|(_, pop)| pop.to_owned())
}

/// `x-hcs-proxy-type` is 1 for a hit; otherwise `Via:
/// CHN-SH-CT8-CACHE30[5],CHN-SH-CT8-CACHE26[0,TCP_HIT,1],CHN-SH-GLOBAL1-CACHE102[84,TCP_MISS,103]`, in which, unlike in
/// others', the edge is first. Nodes of an older kind speak as Tencent's do.
fn huawei(headers: &Headers<'_>) -> Option<Verdict> {
    // A comma in the brackets parts them, too, so that the word stands alone.
    let via = || headers.members("via").into_iter().find(|part| part.starts_with("TCP_"));
    match headers.last("x-hcs-proxy-type") {
        Some("1") => Some(Verdict::Hit),
        Some("0") => Some(Verdict::Miss),
        _ => via().and_then(word).or_else(|| lookups(headers)),
    }
}

/// `X-Cache-Lookup`, a line a layer. A layer that had it says so behind one that did not: a miss is a miss, whoever had
/// it then.
fn lookups(headers: &Headers<'_>) -> Option<Verdict> {
    let all: Vec<String> = headers.values("x-cache-lookup").map(str::to_ascii_lowercase).collect();
    let any = |words: &str| all.iter().any(|value| value.starts_with(words));
    if any("cache miss") || any("miss") {
        Some(Verdict::Miss)
    } else if any("cache refresh hit") || any("refresh hit") {
        Some(Verdict::Revalidated)
    } else if any("cache hit") || any("hit from memcache") || any("hit from disktank") {
        Some(Verdict::Hit)
    } else {
        any("hit from ").then_some(Verdict::Miss) // of another layer than the edge
    }
}

/// The edge in `X-Via: 1.1 PS-FOO-01abc:6 (Cdn Cache Server V2.0)[0 200 0]`, or in `Via` the same: a member a node, the
/// last.
fn wangsu_edge<'a>(headers: &Headers<'a>) -> Option<&'a str> {
    let of = |name| headers.members(name).into_iter().rfind(|node| node.contains("Cdn Cache Server"));
    of("x-via").or_else(|| of("via"))
}

/// Its brackets, where there are any, have the ms, the status and whether it had it (0), had not, or refused (3).
fn wangsu(headers: &Headers<'_>) -> Option<Verdict> {
    let own = headers.word("x-cache").or_else(|| headers.word("x-cache-status"));
    own.or_else(|| {
        let edge = wangsu_edge(headers)?.rsplit_once('[')?.1.trim_end_matches(']');
        match edge.split_whitespace().nth(2)? {
            "0" => Some(Verdict::Hit),
            "3" => None,
            _ => Some(Verdict::Miss),
        }
    })
}

fn wangsu_pop(headers: &Headers<'_>) -> Option<String> {
    wangsu_edge(headers)?.split_whitespace().nth(1)?.split(':').next().map(str::to_owned)
}

/// `Via: http/1.1 edge (ApacheTrafficServer/9.2 [cHs f ])`: behind `c` what the cache had, behind `s` what the origin
/// said; with the plugin xdebug `X-Cache: hit-fresh`.
fn traffic_server(headers: &Headers<'_>) -> Option<Verdict> {
    let via = headers.members("via").into_iter().rfind(|member| member.contains("ApacheTrafficServer"));
    let codes = via.and_then(|member| member.split_once('[')).map(|(_, codes)| codes);
    let code = |name: char| codes?.split(':').next()?.split_once(name)?.1.chars().next();
    match (code('c'), code('s')) {
        (Some('H' | 'R'), _) => Some(Verdict::Hit),
        (Some('S'), Some('N')) => Some(Verdict::Revalidated),
        (Some('S'), Some(' ' | 'E')) => Some(Verdict::Stale),
        (Some('S' | 'A' | 'M'), _) => Some(Verdict::Miss),
        (Some(' '), _) => Some(Verdict::Bypass),
        _ => headers.word("x-cache"),
    }
}

/// `X-Varnish` has the number of this request, and of the one that fetched what it had.
fn varnish(headers: &Headers<'_>) -> Option<Verdict> {
    match headers.values("x-varnish").next_back()?.split_whitespace().count() {
        1 => Some(Verdict::Miss),
        2 => {
            let is_old = headers.number("age").zip(headers.lifetime_s()).is_some_and(|(age, lifetime)| age > lifetime);
            Some(if is_old { Verdict::Stale } else { Verdict::Hit })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn reading(lines: &[&str]) -> Reading {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        read(&headers)
    }

    /// A line a word and a trap: the headers, the vendor, the verdict, the place.
    #[test]
    fn every_vendor_is_understood() {
        use Verdict::{Bypass, Hit, Miss, Revalidated, Stale, Unknown};
        type Line = (&'static [&'static str], Option<&'static str>, Verdict, Option<&'static str>);
        let lines: &[Line] = &[
            // RFC 9211: the last member is the edge; it says more than anything of the vendor's.
            (&["Cache-Status: Origin; hit; ttl=1100, Edge; hit; ttl=30"], None, Hit, None),
            (&["Cache-Status: Origin; hit", "Cache-Status: Edge; fwd=uri-miss; stored"], None, Miss, None),
            (&["Cache-Status: Edge; hit; ttl=-412"], None, Stale, None),
            (&["Cache-Status: Edge; fwd=stale; fwd-status=304; collapsed"], None, Revalidated, None),
            (&["Cache-Status: Edge; fwd=stale; fwd-status=200"], None, Miss, None),
            (&["Cache-Status: Edge; fwd=bypass; detail=\"a, b; hit\""], None, Bypass, None),
            (&["Cache-Status: Edge; fwd=request"], None, Bypass, None),
            (&["Cache-Status: \"squid.example\";detail=match"], None, Unknown, None),
            // Cloudflare.
            (&["CF-Cache-Status: HIT", "CF-RAY: 8a1b2c3d4e5f-FRA", "Age: 10"], Some("cloudflare"), Hit, Some("FRA")),
            (&["CF-Cache-Status: EXPIRED", "CF-RAY: 8a1b2c3d4e5f-SJC"], Some("cloudflare"), Miss, Some("SJC")),
            (&["CF-Cache-Status: REVALIDATED"], Some("cloudflare"), Revalidated, None),
            (&["CF-Cache-Status: UPDATING"], Some("cloudflare"), Stale, None),
            (&["CF-Cache-Status: STALE"], Some("cloudflare"), Stale, None),
            (&["CF-Cache-Status: DYNAMIC"], Some("cloudflare"), Bypass, None),
            (&["CF-Cache-Status: NONE"], Some("cloudflare"), Unknown, None),
            (&["Server: cloudflare", "CF-RAY: 1-AMS"], Some("cloudflare"), Unknown, Some("AMS")),
            // Fastly: a value a shield, the edge last. It had kept the shield's answer, `HIT` included.
            (
                &["X-Served-By: cache-sjc10033-SJC, cache-lhr7380-LHR", "X-Cache: HIT, MISS"],
                Some("fastly"),
                Miss,
                Some("LHR"),
            ),
            (
                &[
                    "X-Served-By: cache-sjc10033-SJC, cache-lhr7380-LHR",
                    "X-Cache: MISS, HIT",
                    "Via: 1.1 varnish, 1.1 varnish",
                    "X-Varnish: 1 2",
                ],
                Some("fastly"),
                Hit,
                Some("LHR"),
            ),
            (&["X-Served-By: cache-lhr7380-LHR", "X-Cache: PASS"], Some("fastly"), Bypass, Some("LHR")),
            // CloudFront.
            (
                &["X-Cache: Hit from cloudfront", "X-Amz-Cf-Pop: FRA56-P4", "X-Amz-Cf-Id: x"],
                Some("cloudfront"),
                Hit,
                Some("FRA56-P4"),
            ),
            (&["X-Cache: Miss from cloudfront"], Some("cloudfront"), Miss, None),
            (&["X-Cache: RefreshHit from cloudfront"], Some("cloudfront"), Revalidated, None),
            (&["X-Cache: OriginShieldHit from cloudfront"], Some("cloudfront"), Miss, None),
            (&["X-Cache: Error from cloudfront"], Some("cloudfront"), Unknown, None),
            // Akamai: the parent's word (X-Cache-Remote) is not the edge's.
            (
                &["X-Cache: TCP_HIT from a23-1-2-3.deploy.akamaitechnologies.com (AkamaiGHost/11.6) (-)"],
                Some("akamai"),
                Hit,
                None,
            ),
            (
                &[
                    "X-Cache: TCP_MISS from a23-1-2-3.deploy.akamaitechnologies.com (AkamaiGHost/11.6) (-)",
                    "X-Cache-Remote: TCP_HIT from a1.akamai (AkamaiGHost/11) (-)",
                ],
                Some("akamai"),
                Miss,
                None,
            ),
            (
                &["X-Cache: TCP_REFRESH_HIT from a23-1-2-3.deploy.akamaitechnologies.com (AkamaiGHost/11.6) (-)"],
                Some("akamai"),
                Revalidated,
                None,
            ),
            (&["X-Cache: TCP_REFRESH_FAIL_HIT from a23.akamai (AkamaiGHost/11.6) (-)"], Some("akamai"), Stale, None),
            (&["Akamai-Cache-Status: Miss from child, Hit from parent"], Some("akamai"), Miss, None),
            (&["Akamai-Cache-Status: Hit from child"], Some("akamai"), Hit, None),
            (&["X-Check-Cacheable: NO", "Server: AkamaiGHost"], Some("akamai"), Bypass, None),
            (&["Server: AkamaiGHost"], Some("akamai"), Unknown, None),
            (
                &["Server-Timing: cdn-cache; desc=HIT, edge; dur=1, ak_p; desc=\"1_2_3\";dur=1"],
                Some("akamai"),
                Hit,
                None,
            ),
            (
                &["X-Akamai-Transformed: 9 - 0 pmb=mRUM,2", "Server-Timing: cdn-cache; desc=REVALIDATE"],
                Some("akamai"),
                Revalidated,
                None,
            ),
            (&["Server-Timing: cdn-cache; desc=HIT"], None, Unknown, None),
            // Azure.
            (&["X-Azure-Ref: 20260101T000000Z-r1", "X-Cache: TCP_HIT"], Some("azure"), Hit, None),
            (&["X-Azure-Ref: 1", "X-Cache: TCP_REMOTE_HIT"], Some("azure"), Hit, None),
            (&["X-Azure-Ref: 1", "X-Cache: CONFIG_NOCACHE"], Some("azure"), Bypass, None),
            (&["X-Azure-Ref: 1", "X-Cache: PRIVATE_NOSTORE"], Some("azure"), Bypass, None),
            (&["X-Azure-Ref: 1", "X-Cache: N/A"], Some("azure"), Unknown, None),
            (
                &["X-MSEdge-Ref: Ref A: 0A1B Ref B: FRA31EDGE0212 Ref C: 2026-01-01T00:00:00Z", "X-Cache: TCP_MISS"],
                Some("azure"),
                Miss,
                Some("FRA31EDGE0212"),
            ),
            // Alibaba: Via has commas inside of its members, and the edge last.
            (
                &[
                    "EagleId: 1",
                    "X-Cache: HIT TCP_MEM_HIT dirn:2:11",
                    "Via: cache13.l2cm12[0,0,200-0,H], kunlun2.cn257[0,0,200-0,H]",
                    "Age: 77",
                ],
                Some("alibaba"),
                Hit,
                Some("cn257"),
            ),
            (
                &[
                    "EagleId: 1",
                    "X-Cache: MISS TCP_MISS dirn:-2:-2",
                    "Via: cache13.l2cm12[0,0,200-0,H], kunlun2.cn257[0,0,200-0,M]",
                ],
                Some("alibaba"),
                Miss,
                Some("cn257"),
            ),
            (
                &["X-Swift-SaveTime: Thu, 26 Nov 2026 00:00:00 GMT", "X-Cache: HIT TCP_REFRESH_HIT dirn:1:1"],
                Some("alibaba"),
                Revalidated,
                None,
            ),
            (&["EagleId: 1", "X-Cache: MISS TCP_REFRESH_MISS dirn:1:1"], Some("alibaba"), Miss, None),
            // Tencent: the layer behind the edge had it. First visits show both.
            (&["X-NWS-LOG-UUID: 1", "X-Cache-Lookup: Cache Hit"], Some("tencent"), Hit, None),
            (&["X-NWS-LOG-UUID: 1", "X-Cache-Lookup: Hit From MemCache"], Some("tencent"), Hit, None),
            (
                &["X-Cache-Lookup: Hit From Disktank3", "X-Cache-Lookup: Hit From Inner Cluster"],
                Some("tencent"),
                Hit,
                None,
            ),
            (
                &["X-NWS-LOG-UUID: 1", "X-Cache-Lookup: Cache Miss", "X-Cache-Lookup: Hit From Inner Cluster"],
                Some("tencent"),
                Miss,
                None,
            ),
            (&["X-NWS-LOG-UUID: 1", "X-Cache-Lookup: Hit From Upstream"], Some("tencent"), Miss, None),
            (&["X-NWS-LOG-UUID: 1", "X-Cache-Lookup: Cache Refresh Hit"], Some("tencent"), Revalidated, None),
            (&["EO-LOG-UUID: 1", "EO-Cache-Status: HIT"], Some("edgeone"), Hit, None),
            (&["EO-Cache-Status: RefreshHit"], Some("edgeone"), Revalidated, None),
            (&["EO-Cache-Status: Dynamic"], Some("edgeone"), Bypass, None),
            // Huawei: 1 is a hit; otherwise as Tencent's.
            (&["x-hcs-proxy-type: 1"], Some("huawei"), Hit, None),
            (&["x-hcs-proxy-type: 0", "Age: 3"], Some("huawei"), Miss, None),
            (&["X-CCDN-CacheTTL: 3600", "X-Cache-Lookup: Hit From MemCache"], Some("huawei"), Hit, None),
            (&["X-CCDN-CacheTTL: 3600", "Age: 5"], Some("huawei"), Hit, None),
            (
                &[
                    "X-CCDN-REQ-ID-46B1: 1",
                    "Via: CHN-SH-CT8-CACHE30[5],CHN-SH-CT8-CACHE26[0,TCP_HIT,1],CHN-SH-GLOBAL1-CACHE102[84,TCP_MISS,103]",
                ],
                Some("huawei"),
                Hit,
                Some("CHN-SH-CT8"),
            ),
            (
                &[
                    "X-CCDN-CacheTTL: 60",
                    "Via: 1.1 front, CHN-SH-CT8-CACHE30[67],CHN-SH-CT8-CACHE26[60,TCP_MISS,65],CHN-SH-GLOBAL1-CACHE2[0,TCP_HIT,3]",
                ],
                Some("huawei"),
                Miss,
                Some("CHN-SH-CT8"),
            ),
            // Baidu: Ohc-Cache-HIT stands on misses, too.
            (&["Ohc-Cache-HIT: gz4cm45 [1]", "X-Cache-Status: MISS"], Some("baidu"), Miss, Some("gz4cm45")),
            (&["Ohc-Cache-HIT: bj2pbs100 [4]", "X-Cache-Status: HIT"], Some("baidu"), Hit, Some("bj2pbs100")),
            (&["Ohc-Cache-HIT: bj2pbs100 [1]"], Some("baidu"), Unknown, Some("bj2pbs100")),
            (&["Ohc-Cache-HIT: bj2pbs100 [1]", "Age: 0"], Some("baidu"), Unknown, Some("bj2pbs100")),
            // Wangsu: the node is named on misses, too.
            (
                &["X-Via: 1.1 hz11:3 (Cdn Cache Server V2.0)[12 200 2], 1.1 PShk1:6 (Cdn Cache Server V2.0)[0 200 0]"],
                Some("wangsu"),
                Hit,
                Some("PShk1"),
            ),
            (&["X-Via: 1.1 PShk1:6 (Cdn Cache Server V2.0)[31 200 2]"], Some("wangsu"), Miss, Some("PShk1")),
            (&["X-Via: 1.1 PShk1:6 (Cdn Cache Server V2.0)"], Some("wangsu"), Unknown, Some("PShk1")),
            (&["X-Ws-Request-Id: 1", "Via: 1.1 varnish"], Some("wangsu"), Unknown, None),
            (&["X-Via: 1.0 PShk1:5 (Cdn Cache Server V2.0)[0 403 3]"], Some("wangsu"), Unknown, Some("PShk1")),
            (
                &[
                    "Via: 1.1 zhshx117:1 (Cdn Cache Server V2.0)[11 200 0], 1.1 xxz195:3 (Cdn Cache Server V2.0)[94 200 2]",
                ],
                Some("wangsu"),
                Miss,
                Some("xxz195"),
            ),
            // Varnish: two numbers are a hit. A pass looks like a miss, and is counted as one.
            (&["X-Varnish: 32770 3", "Age: 12", "Via: 1.1 varnish (Varnish/7.1)"], Some("varnish"), Hit, None),
            (&["X-Varnish: 32770", "Age: 0"], Some("varnish"), Miss, None),
            (&["X-Varnish: 32770 3", "Age: 12", "Cache-Control: max-age=10"], Some("varnish"), Stale, None),
            (&["X-Varnish: 32770 3", "Age: 12", "Cache-Control: max-age=10, s-maxage=60"], Some("varnish"), Hit, None),
            // Traffic Server: what is old and was not asked after is stale.
            (&["Via: http/1.1 edge (ApacheTrafficServer/9.2.0 [cHs f ])"], Some("trafficserver"), Hit, None),
            (&["Via: http/1.1 edge (ApacheTrafficServer/9.2.0 [cRs f ])"], Some("trafficserver"), Hit, None),
            (&["Via: http/1.1 edge (ApacheTrafficServer/9.2.0 [cMsSfW])"], Some("trafficserver"), Miss, None),
            (&["Via: http/1.1 edge (ApacheTrafficServer/9.2.0 [cSsNfU])"], Some("trafficserver"), Revalidated, None),
            (&["Via: http/1.1 edge (ApacheTrafficServer/9.2.0 [cSs f ])"], Some("trafficserver"), Stale, None),
            (
                &["Via: http/1.1 edge (ApacheTrafficServer/9.2.0 [uScMsSfWpSeN:t cCMp sS])"],
                Some("trafficserver"),
                Miss,
                None,
            ),
            (
                &[
                    "Via: http/1.1 parent (ApacheTrafficServer/9.2.0 [cHs f ]), http/1.1 edge (ApacheTrafficServer/9.2.0 [cMsSfW])",
                ],
                Some("trafficserver"),
                Miss,
                None,
            ),
            (&["Server: ATS/9.2.0", "X-Cache: hit-fresh"], Some("trafficserver"), Hit, None),
            (&["Server: ATS/9.2.0", "X-Cache: skipped"], Some("trafficserver"), Bypass, None),
            // nginx, squid, HAProxy, and those that nobody knows.
            (&["X-Cache-Status: HIT", "Server: nginx"], Some("nginx"), Hit, None),
            (&["X-Cache-Status: UPDATING"], Some("nginx"), Stale, None),
            (&["X-Cache-Status: EXPIRED"], Some("nginx"), Miss, None),
            (&["X-Cache-Status: REVALIDATED"], Some("nginx"), Revalidated, None),
            (&["X-Proxy-Cache: BYPASS"], Some("nginx"), Bypass, None),
            (
                &["X-Cache: MISS from proxy.example", "X-Cache-Lookup: HIT from proxy.example:3128"],
                Some("squid"),
                Miss,
                None,
            ),
            (&["X-Cache: HIT"], None, Hit, None),
            (&["X-Cache: HIT, MISS"], None, Miss, None),
            (&["Age: 100"], None, Hit, None),
            (&["Age: 0"], None, Unknown, None),
            (&["Server: nginx"], None, Unknown, None),
        ];
        for (headers, vendor, verdict, pop) in lines {
            let found = reading(headers);
            assert_eq!((found.vendor, found.verdict, found.pop.as_deref()), (*vendor, *verdict, *pop), "{headers:?}");
        }
    }

    #[test]
    fn ages_and_lifetimes_are_read() {
        let found = reading(&["Age: 30", "Cache-Control: public, max-age=60, s-maxage=\"300\""]);
        assert_eq!((found.age_s, found.lifetime_s), (Some(30), Some(300)));
        let found = reading(&["Cache-Control: no-cache", "Age: soon"]);
        assert_eq!((found.age_s, found.lifetime_s), (None, None));
        assert_eq!(reading(&["Age: -9223372036854775808"]).age_s, None);
        // What the cache says of itself goes before what it was told.
        let told = "Cache-Control: max-age=7200";
        for (own, lifetime_s) in [
            ("EagleId: 1", 7200),
            ("X-Swift-CacheTime: 3600", 3600),
            ("X-CCDN-CacheTTL: 31536000", 31_536_000),
            ("CDN-Cache-Control: max-age=600", 600),
            ("Cache-Status: edge; hit; ttl=376", 406),
            ("Cache-Status: edge; hit; ttl=-10", 20),
            ("Cache-Status: edge; hit; ttl=-99999999999", 30 - (1 << 31)),
            ("X-Swift-CacheTime: 99999999999", 1 << 31),
            ("X-Swift-CacheTime: -1", 7200),
        ] {
            assert_eq!(reading(&["Age: 30", told, own]).lifetime_s, Some(lifetime_s), "{own}");
        }
    }
}
