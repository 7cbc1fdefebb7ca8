//! What the headers of an answer say about the cache that it came from.
//!
//! Every vendor says it in its own way, and some say `HIT` on what they did not have. A rule is in the table of vendors
//! with a test line for each word and each trap; what no rule knows is `unknown`, and never taken for a miss.

use hyper::HeaderMap;

use super::headers::Headers;
use super::vendors::Vendor;

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

/// The headers that are kept as they came.
const KEPT: [&str; 65] = [
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
    "cdn-cache",
    "cdn-cachedat",
    "cdn-pullzone",
    "x-vercel-cache",
    "x-vercel-id",
    "x-77-cache",
    "x-77-pop",
    "x-sucuri-cache",
    "x-qc-cache",
    "x-qc-pop",
    "x-iinfo",
    "cache",
    "x-cached-since",
    "x-id",
    "x-site-cache-status",
    "x-bdcdn-cache-status",
    "x-response-cache",
    "ctl-cache-status",
    "x-qnm-cache",
    "x-fastcgi-cache",
    "x-edge-location",
    "x-litespeed-cache",
    "date",
];

/// Reads the headers of an answer.
pub(crate) fn read(headers: &HeaderMap) -> Reading {
    let headers = Headers(headers);
    let vendor = Vendor::of(&headers);
    let (age_s, lifetime_s) = (headers.number("age"), headers.lifetime_s());
    // The vendor of the nearest cache is believed in its own words: what the standard says may be a layer's behind it.
    let own = vendor.and_then(|vendor| (vendor.verdict)(&headers));
    let said = own.or_else(|| headers.cache_status());
    let said = said.or_else(|| {
        let words = ["x-cache", "x-fastcgi-cache", "x-litespeed-cache"];
        words.into_iter().filter(|_| vendor.is_none()).find_map(|name| headers.word(name))
    });
    let verdict = match said {
        Some(verdict) => verdict,
        // Only a cache gives an answer that is older than the question.
        None if age_s.is_some_and(|age| age > 0) => Verdict::Hit,
        None => Verdict::Unknown,
    };
    let pop = vendor.and_then(|vendor| (vendor.pop)(&headers));
    Reading { vendor: vendor.map(|vendor| vendor.name), verdict, pop, age_s, lifetime_s }
}

/// The headers about caches as they came, a line each and in their order, so that layers can be told from one another.
pub(crate) fn kept(headers: &HeaderMap) -> String {
    let about = headers.iter().filter(|(name, _)| KEPT.contains(&name.as_str()));
    let lines = about.filter_map(|(name, value)| Some(format!("{name}: {}", value.to_str().ok()?.trim())));
    lines.collect::<Vec<_>>().join("\n")
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
            (&["Cache-Status: Edge; hit=?0; fwd=miss"], None, Miss, None),
            (&["Cache-Status: Edge; hit=?1", "Cache-Status: Outer; fwd=miss, Outermost; hit"], None, Hit, None),
            (&["Cache-Status: Edge; hit;; no grammar"], None, Unknown, None),
            // What a layer behind the vendor's says is not what the vendor's does.
            (&["Cache-Status: Origin; hit", "CF-Cache-Status: MISS"], Some("cloudflare"), Miss, None),
            (&["Cache-Status: Edge; hit", "X-Iinfo: 1"], Some("imperva"), Hit, None),
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
            // Two that write into Via: the last wrote last.
            (
                &["X-Served-By: cache-a-AMS", "Via: 1.1 x.cloudfront.net (CloudFront), 1.1 varnish", "X-Cache: Miss"],
                Some("fastly"),
                Miss,
                Some("AMS"),
            ),
            (&["CF-RAY: 1-AMS", "Via: 1.1 google"], Some("cloudflare"), Unknown, Some("AMS")),
            (&["X-77-Cache: MISS", "X-77-POP: pragueCZ", "X-Cache: HIT"], Some("cdn77"), Miss, Some("pragueCZ")),
            (&["X-Sucuri-ID: 18017", "X-Sucuri-Cache: HIT"], Some("sucuri"), Hit, None),
            (&["Server: ECAcc (frc/4CD1)", "X-Cache: HIT"], Some("edgecast"), Hit, Some("frc")),
            (&["X-Qnm-Cache: Hit", "X-M-Log: QNM:xs1"], Some("qiniu"), Hit, None),
            (&["Server: BunnyCDN-AMS1-1", "CDN-Cache: BYPASS"], Some("bunny"), Bypass, Some("AMS1")),
            (&["X-Vercel-Cache: REVALIDATED", "X-Vercel-Id: fra1::x"], Some("vercel"), Revalidated, Some("fra1")),
            (&["Via: 1.1 google", "Age: 30"], Some("google"), Hit, None),
            (&["X-Cache-Status: MISS from KS-CLOUD-JH-MP-01-03"], Some("kingsoft"), Miss, Some("JH")),
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

    /// Sets of headers that users of peers reported: each has the vendor and the verdict that are right.
    #[test]
    fn headers_that_were_reported_are_understood() {
        let cases: Vec<serde_json::Value> = serde_json::from_str(include_str!("reported.json")).unwrap();
        assert!(cases.len() >= 29);
        for case in &cases {
            let lines: Vec<&str> =
                case["headers"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
            let found = reading(&lines);
            let wanted = (case["vendor"].as_str(), case["cache"].as_str().unwrap());
            assert_eq!((found.vendor, found.verdict.name()), wanted, "{}", case["name"]);
        }
    }

    #[test]
    fn headers_are_kept_in_their_order() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("via", "1.1 a"), ("content-type", "x"), ("age", "5"), ("via", "1.1 b"), ("x-cache", "HIT")]
        {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        assert_eq!(kept(&headers), "via: 1.1 a\nvia: 1.1 b\nage: 5\nx-cache: HIT");
    }

    #[test]
    fn ages_and_lifetimes_are_read() {
        let found = reading(&["Age: 30", "Cache-Control: public, max-age=60, s-maxage=\"300\""]);
        assert_eq!((found.age_s, found.lifetime_s), (Some(30), Some(300)));
        let found = reading(&["Cache-Control: no-cache", "Age: soon"]);
        assert_eq!((found.age_s, found.lifetime_s), (None, None));
        assert_eq!(reading(&["Age: -9223372036854775808"]).age_s, None);
        assert_eq!(reading(&["Age: 5, 900", "Age: 7"]).age_s, Some(5));
        let dates = |expires: &'static str| reading(&["Date: Fri, 20 Nov 2026 10:00:00 GMT", expires]).lifetime_s;
        assert_eq!(dates("Expires: Fri, 20 Nov 2026 10:10:00 GMT"), Some(600));
        assert_eq!(dates("Expires: Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(dates("Expires: 0"), Some(0));
        assert_eq!(reading(&["Expires: Fri, 20 Nov 2026 10:10:00 GMT"]).lifetime_s, None);
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
