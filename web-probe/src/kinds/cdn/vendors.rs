//! The vendors of caches, each with the headers that tell it, its own words, and where it stands.

use super::headers::{Headers, parameter, word};
use super::verdict::Verdict;

/// A vendor: a header that only its caches send (with a part of the value where others send it, too), what it says, and
/// where it stands.
pub(super) struct Vendor {
    pub name: &'static str,
    pub signs: &'static [(&'static str, &'static str)],
    /// What its caches write into `Via`, if they do.
    pub via: &'static str,
    pub verdict: fn(&Headers<'_>) -> Option<Verdict>,
    pub pop: fn(&Headers<'_>) -> Option<String>,
}

impl Vendor {
    /// The vendor of the cache nearest to us, as far as the headers tell.
    pub(super) fn of(headers: &Headers<'_>) -> Option<&'static Vendor> {
        let mut all = VENDORS.iter().filter(|vendor| vendor.signs.iter().any(|(name, part)| headers.has(name, part)));
        let first = all.next()?;
        // Of two that both write into `Via`, the one that wrote last.
        let last = headers.last("via").filter(|last| !first.via.is_empty() && !last.contains(first.via));
        let other = last.and_then(|last| all.find(|vendor| !vendor.via.is_empty() && last.contains(vendor.via)));
        Some(other.unwrap_or(first))
    }
}

/// From the most telling sign to the least: some vendors' caches are built of another one's parts, and send its
/// headers, too. Services stand before the caches that anybody can run, as those are behind them.
pub(super) const VENDORS: [Vendor; 30] = [
    Vendor {
        name: "cloudflare",
        signs: &[("cf-cache-status", ""), ("cf-ray", "")],
        via: "",
        verdict: |headers| headers.word("cf-cache-status"),
        pop: |headers| headers.last("cf-ray")?.rsplit_once('-').map(|(_, pop)| pop.to_owned()),
    },
    Vendor {
        name: "vercel",
        signs: &[("x-vercel-cache", ""), ("x-vercel-id", "")],
        via: "",
        verdict: |headers| headers.word("x-vercel-cache"),
        // The region that the visitor came to is first.
        pop: |headers| headers.values("x-vercel-id").next()?.split("::").next().map(str::to_owned),
    },
    Vendor {
        name: "netlify",
        signs: &[("x-nf-request-id", ""), ("server", "Netlify"), ("cache-status", "Netlify Edge")],
        via: "",
        verdict: |headers| headers.cache_status(),
        pop: |_| None,
    },
    Vendor {
        name: "bunny",
        signs: &[("cdn-pullzone", ""), ("server", "BunnyCDN-")],
        via: "",
        verdict: |headers| headers.word("cdn-cache"),
        pop: |headers| Some(headers.values("server").next()?.strip_prefix("BunnyCDN-")?.split('-').next()?.to_owned()),
    },
    Vendor {
        name: "keycdn",
        signs: &[("server", "keycdn")],
        via: "",
        verdict: |headers| headers.word("x-cache"),
        pop: |headers| headers.last("x-edge-location").map(str::to_owned),
    },
    Vendor {
        name: "cdn77",
        signs: &[("x-77-cache", ""), ("x-77-pop", ""), ("x-77-nzt", ""), ("server", "CDN77")],
        via: "",
        verdict: |headers| headers.word("x-77-cache").or_else(|| headers.word("x-cache")),
        pop: |headers| headers.last("x-77-pop").map(str::to_owned),
    },
    Vendor {
        name: "sucuri",
        signs: &[("x-sucuri-id", ""), ("x-sucuri-cache", ""), ("server", "Sucuri")],
        via: "",
        verdict: |headers| headers.word("x-sucuri-cache"),
        pop: |_| None,
    },
    // The site's own LiteSpeed is behind it, and speaks, too.
    Vendor {
        name: "quic.cloud",
        signs: &[("x-qc-pop", ""), ("x-qc-cache", "")],
        via: "",
        verdict: |headers| headers.word("x-qc-cache"),
        pop: |headers| headers.last("x-qc-pop").map(str::to_owned),
    },
    // It says nothing of its cache.
    Vendor {
        name: "imperva",
        signs: &[("x-iinfo", ""), ("x-cdn", "Imperva"), ("x-cdn", "Incapsula")],
        via: "",
        verdict: |_| None,
        pop: |_| None,
    },
    Vendor {
        name: "edgecast",
        signs: &[("server", "ECAcc ("), ("server", "ECS (")],
        via: "",
        verdict: |headers| headers.word("x-cache"),
        // `ECAcc (frc/4CD1)`
        pop: |headers| {
            let (_, place) = headers.values("server").next()?.split_once('(')?;
            place.split(['/', ')']).next().map(str::to_owned)
        },
    },
    Vendor {
        name: "gcore",
        signs: &[("x-cached-since", ""), ("x-id", "-up-"), ("x-id-fe", "-up-")],
        via: "",
        verdict: |headers| headers.word("cache"),
        pop: |headers| headers.last("x-id")?.split('-').next().map(str::to_owned),
    },
    // With shields there is a value for each of them, the edge being the last.
    Vendor {
        name: "fastly",
        signs: &[("x-served-by", "cache-"), ("x-fastly-request-id", "")],
        via: "varnish",
        verdict: |headers| headers.word("x-cache"),
        pop: |headers| headers.last("x-served-by")?.rsplit_once('-').map(|(_, pop)| pop.to_owned()),
    },
    Vendor {
        name: "cloudfront",
        signs: &[("x-amz-cf-id", ""), ("x-cache", "cloudfront"), ("via", "(CloudFront)")],
        via: "(CloudFront)",
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
        via: "",
        verdict: akamai,
        pop: |_| None,
    },
    Vendor {
        name: "azure",
        signs: &[("x-azure-ref", ""), ("x-msedge-ref", "")],
        via: "",
        verdict: |headers| headers.word("x-cache"),
        pop: |headers| {
            let place = headers.last("x-msedge-ref")?.split_once("Ref B: ")?.1;
            place.split_whitespace().next().map(str::to_owned)
        },
    },
    Vendor {
        name: "alibaba",
        signs: &[("eagleid", ""), ("x-swift-savetime", ""), ("x-site-cache-status", "")],
        via: "",
        verdict: alibaba,
        pop: alibaba_pop,
    },
    Vendor {
        name: "edgeone",
        signs: &[("eo-cache-status", ""), ("eo-log-uuid", "")],
        via: "",
        verdict: |headers| headers.word("eo-cache-status"),
        pop: |_| None,
    },
    Vendor {
        name: "huawei",
        signs: &[("x-hcs-proxy-type", ""), ("x-ccdn-cachettl", ""), ("x-ccdn-req-id-46b1", "")],
        via: "",
        verdict: huawei,
        pop: |headers| {
            let (pop, _) = headers.members("via").into_iter().find_map(|node| node.split_once("-CACHE"))?;
            Some(pop.to_owned())
        },
    },
    Vendor {
        name: "tencent",
        signs: &[("x-nws-log-uuid", ""), ("x-cache-lookup", "Hit From "), ("x-cache-lookup", "Cache ")],
        via: "",
        verdict: lookups,
        pop: |_| None,
    },
    // Ohc-Cache-HIT names the nodes that were passed, and stands on misses, too: it is a sign and no verdict.
    Vendor {
        name: "baidu",
        signs: &[("ohc-cache-hit", ""), ("ohc-file-size", ""), ("ohc-upstream-trace", "")],
        via: "",
        verdict: |headers| headers.word("x-cache-status"),
        pop: |headers| headers.last("ohc-cache-hit")?.split_whitespace().next().map(str::to_owned),
    },
    Vendor {
        name: "wangsu",
        signs: &[("x-via", "Cdn Cache Server"), ("via", "Cdn Cache Server"), ("x-ws-request-id", "")],
        via: "Cdn Cache Server",
        verdict: wangsu,
        pop: wangsu_pop,
    },
    Vendor {
        name: "volcengine",
        signs: &[("x-bdcdn-cache-status", ""), ("x-tt-trace-tag", ""), ("server", "Byte-nginx")],
        via: "",
        verdict: |headers| headers.word("x-bdcdn-cache-status").or_else(|| headers.word("x-response-cache")),
        pop: |headers| headers.last("via")?.rsplit_once('.').map(|(_, pop)| pop.to_owned()),
    },
    // A value a layer, the edge being the last.
    Vendor {
        name: "kingsoft",
        signs: &[("x-cache-status", "KS-CLOUD"), ("x-cdn-request-id", ""), ("server", "KS-CLOUD")],
        via: "",
        verdict: |headers| headers.word("x-cache-status"),
        pop: |headers| {
            let (_, node) = headers.last("x-cache-status")?.split_once("KS-CLOUD-")?;
            node.split('-').next().map(str::to_owned)
        },
    },
    Vendor {
        name: "ctyun",
        signs: &[("ctl-cache-status", ""), ("server", "CTYUN")],
        via: "",
        verdict: |headers| headers.word("ctl-cache-status"),
        pop: |headers| headers.last("ctl-cache-status")?.split_once(" from ").map(|(_, node)| node.to_owned()),
    },
    Vendor {
        name: "qiniu",
        signs: &[("x-qnm-cache", ""), ("x-m-reqid", ""), ("x-qiniu-zone", "")],
        via: "",
        verdict: |headers| headers.word("x-qnm-cache").or_else(|| headers.word("x-cache")),
        pop: |_| None,
    },
    // What it had shows by its age alone.
    Vendor { name: "google", signs: &[("via", "1.1 google")], via: "google", verdict: |_| None, pop: |_| None },
    Vendor {
        name: "trafficserver",
        signs: &[("via", "ApacheTrafficServer"), ("server", "ATS/")],
        via: "ApacheTrafficServer",
        verdict: traffic_server,
        pop: |_| None,
    },
    Vendor { name: "varnish", signs: &[("x-varnish", "")], via: "varnish", verdict: varnish, pop: |_| None },
    Vendor {
        name: "squid",
        signs: &[("x-cache-lookup", " from "), ("via", "(squid")],
        via: "(squid",
        verdict: |headers| headers.word("x-cache"),
        pop: |_| None,
    },
    Vendor {
        name: "nginx",
        signs: &[("x-cache-status", ""), ("x-proxy-cache", "")],
        via: "",
        verdict: |headers| headers.word("x-cache-status").or_else(|| headers.word("x-proxy-cache")),
        pop: |_| None,
    },
];

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
    // ESA, its newer service, has a header of its own.
    if let Some(own) = headers.last("x-site-cache-status") {
        return word(own);
    }
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
        _ => headers.word("x-cache").or_else(|| headers.word("x-cache-status")),
    }
}

/// `X-Varnish` has the number of this request, and of the one that fetched what it had; a member a layer.
fn varnish(headers: &Headers<'_>) -> Option<Verdict> {
    match headers.last("x-varnish")?.split_whitespace().count() {
        1 => Some(Verdict::Miss),
        2 => {
            let is_old = headers.number("age").zip(headers.lifetime_s()).is_some_and(|(age, lifetime)| age > lifetime);
            Some(if is_old { Verdict::Stale } else { Verdict::Hit })
        }
        _ => None,
    }
}
