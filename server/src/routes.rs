//! The table of paths. What is not in it is refused, and what is in it says which scope it needs.

use std::pin::Pin;
use std::sync::LazyLock;

use hyper::{Method, Response, StatusCode};
use ingest::stats::Protocol;
use ingest::write::Influx;
use query::Kind;
use query::endpoint::Body;

use crate::answer::{failed, not_allowed};
use crate::call::Call;
use crate::tokens::Scope;
use crate::{admin, drops, grpc, health, heartbeats, influx, ingesting, prometheus, silences};

type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A path.
pub(crate) struct Route {
    /// The path, in which `{name}` stands for a part that is anything.
    pub pattern: &'static str,
    pub methods: &'static [Method],
    /// What a token has to allow, one of these. Only what says whether the server is alive needs nothing.
    pub scopes: &'static [Scope],
    answer: fn(Call) -> Answering,
}

const GET: &[Method] = &[Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST];
/// As the Pushgateway takes them.
const PUSH: &[Method] = &[Method::POST, Method::PUT, Method::DELETE];

const fn open(pattern: &'static str, answer: fn(Call) -> Answering) -> Route {
    Route { pattern, methods: GET, scopes: &[], answer }
}

const fn read(pattern: &'static str, methods: &'static [Method], answer: fn(Call) -> Answering) -> Route {
    Route { pattern, methods, scopes: &[Scope::Read], answer }
}

const fn write(pattern: &'static str, answer: fn(Call) -> Answering) -> Route {
    Route { pattern, methods: POST, scopes: &[Scope::Write], answer }
}

/// What is asked in PromQL, by form or by address.
const fn ask(pattern: &'static str, answer: fn(Call) -> Answering) -> Route {
    read(pattern, &[Method::GET, Method::HEAD, Method::POST], answer)
}

/// A group of the Pushgateway.
const fn push(pattern: &'static str) -> Route {
    Route { pattern, methods: PUSH, scopes: &[Scope::Write], answer: |call| Box::pin(ingesting::push(call)) }
}

/// What clients ask when they start: some of it is to look, some to make.
const fn influx(pattern: &'static str, answer: fn(Call) -> Answering) -> Route {
    Route { pattern, methods: &[Method::GET, Method::POST], scopes: &[Scope::Read, Scope::Write], answer }
}

/// Silences: whoever may read may see them, and whoever administers may say what is silenced.
const fn silence(pattern: &'static str, methods: &'static [Method], answer: fn(Call) -> Answering) -> Route {
    Route { pattern, methods, scopes: &[Scope::Read, Scope::Admin], answer }
}

const fn administer(pattern: &'static str, answer: fn(Call) -> Answering) -> Route {
    Route { pattern, methods: POST, scopes: &[Scope::Admin], answer }
}

/// Every path that there is.
pub(crate) const ROUTES: [Route; 62] = [
    read("/", GET, |call| Box::pin(health::greeting(call))),
    open("/health", |call| Box::pin(health::health(call))),
    open("/-/healthy", |call| Box::pin(health::health(call))),
    open("/-/ready", |call| Box::pin(health::ready(call))),
    open("/ping", |call| Box::pin(influx::ping(call))),
    open("/ready", |call| Box::pin(health::ready(call))),
    read("/metrics", GET, |call| Box::pin(health::metrics(call))),
    write("/write", |call| Box::pin(ingesting::line_protocol(call, Influx::V1V2))),
    write("/api/v2/write", |call| Box::pin(ingesting::line_protocol(call, Influx::V1V2))),
    write("/api/v3/write_lp", |call| Box::pin(ingesting::line_protocol(call, Influx::V3))),
    write("/api/v1/write", |call| Box::pin(ingesting::remote_write(call))),
    write("/v1/metrics", |call| Box::pin(ingesting::otlp(call))),
    write(grpc::OTLP, |call| Box::pin(grpc::otlp(call))),
    write("/api/v1/import/prometheus", |call| Box::pin(ingesting::prometheus(call))),
    write("/api/v1/import/json", |call| Box::pin(ingesting::rows(call, Protocol::Json))),
    write("/api/v1/import/csv", |call| Box::pin(ingesting::rows(call, Protocol::Csv))),
    write("/api/v1/import/arrow", |call| Box::pin(ingesting::rows(call, Protocol::Arrow))),
    read("/api/v3/query_sql", &[Method::GET, Method::POST], |call| {
        Box::pin(async move { query::endpoint::query_sql(&call.services.engine, call.request).await })
    }),
    ask("/api/v1/query", |call| Box::pin(prometheus::query(call))),
    ask("/api/v1/query_range", |call| Box::pin(prometheus::query_range(call))),
    ask("/api/v1/query_exemplars", |call| Box::pin(prometheus::query_exemplars(call))),
    ask("/api/v1/series", |call| Box::pin(prometheus::series(call))),
    ask("/api/v1/labels", |call| Box::pin(prometheus::labels(call))),
    read("/api/v1/label/{name}/values", GET, |call| Box::pin(prometheus::values(call))),
    read("/api/v1/metadata", GET, |call| Box::pin(prometheus::metadata(call))),
    ask("/api/v1/format_query", |call| Box::pin(prometheus::format_query(call))),
    ask("/api/v1/parse_query", |call| Box::pin(prometheus::parse_query(call))),
    read("/api/v1/read", POST, |call| Box::pin(prometheus::remote_read(call))),
    read("/federate", GET, |call| Box::pin(prometheus::federate(call))),
    read("/api/v1/targets", GET, |call| Box::pin(prometheus::targets(call))),
    read("/api/v1/targets/metadata", GET, |call| Box::pin(prometheus::target_metadata(call))),
    read("/api/v1/scrape_pools", GET, |call| Box::pin(prometheus::scrape_pools(call))),
    read("/api/v1/status/tsdb", GET, |call| Box::pin(prometheus::status_tsdb(call))),
    read("/api/v1/status/flags", GET, |call| Box::pin(prometheus::flags(call))),
    read("/api/v1/status/config", GET, |call| Box::pin(prometheus::fixed(call, promql::api::config()))),
    read("/api/v1/status/runtimeinfo", GET, |call| Box::pin(prometheus::runtime_info(call))),
    read("/api/v1/rules", GET, |call| Box::pin(prometheus::rules(call))),
    read("/api/v1/alerts", GET, |call| Box::pin(prometheus::alerts(call))),
    read("/api/v1/status/buildinfo", GET, |call| Box::pin(prometheus::fixed(call, promql::api::build_info()))),
    push("/metrics/job/{*group}"),
    push("/metrics/job@base64/{*group}"),
    Route {
        pattern: "/heartbeat/{*job}",
        methods: &[Method::GET, Method::HEAD, Method::POST],
        scopes: &[Scope::Write],
        answer: |call| Box::pin(heartbeats::call(call)),
    },
    influx("/query", |call| Box::pin(influx::query(call))),
    influx("/api/v2/orgs", |call| Box::pin(influx::organisations(call))),
    influx("/api/v2/buckets", |call| Box::pin(influx::buckets(call))),
    influx("/api/v3/configure/database", |call| Box::pin(influx::configure_database(call))),
    administer("/api/v2/delete", |call| Box::pin(influx::delete(call))),
    administer("/api/v1/admin/flush", |call| Box::pin(admin::flush(call))),
    administer("/api/v1/admin/compact", |call| Box::pin(admin::compact(call))),
    administer("/api/v1/admin/snapshot", |call| Box::pin(admin::snapshot(call))),
    administer("/api/v1/admin/accept_damage", |call| Box::pin(admin::accept_damage(call))),
    administer("/api/v1/admin/delete", |call| Box::pin(admin::delete(call))),
    administer("/api/v1/admin/drop", |call| Box::pin(drops::drop(call))),
    Route {
        pattern: "/api/v3/configure/table",
        methods: &[Method::DELETE],
        scopes: &[Scope::Admin],
        answer: |call| Box::pin(drops::drop_table(call)),
    },
    administer("/api/v1/admin/maintenance", |call| Box::pin(admin::exclude(call, Kind::Maintenance))),
    administer("/api/v1/admin/maintenance/end", |call| Box::pin(admin::end_exclusion(call, Kind::Maintenance))),
    administer("/api/v1/admin/exclusions", |call| Box::pin(admin::exclude(call, Kind::Exclusion))),
    administer("/api/v1/admin/exclusions/end", |call| Box::pin(admin::end_exclusion(call, Kind::Exclusion))),
    silence("/api/v2/silences", &[Method::GET, Method::HEAD, Method::POST], |call| Box::pin(silences::all(call))),
    silence("/api/v2/silence/{id}", &[Method::GET, Method::HEAD, Method::DELETE], |call| Box::pin(silences::one(call))),
    administer("/api/v1/admin/rollups", |call| Box::pin(admin::declare_rollup(call))),
    administer("/api/v1/admin/rollups/remove", |call| Box::pin(admin::remove_rollup(call))),
];

static ROUTER: LazyLock<matchit::Router<Route>> = LazyLock::new(|| {
    let mut router = matchit::Router::new();
    for route in ROUTES {
        router.insert(route.pattern, route).expect("the table's patterns are right, and no two are alike");
    }
    router
});

impl Route {
    /// The route of a path.
    pub(crate) fn of(path: &str) -> Option<&'static Route> {
        ROUTER.at(path).ok().map(|found| found.value)
    }

    /// Answers a request that was let in, if it has a method that the path takes.
    pub(crate) async fn answer(&self, call: Call) -> Response<Body> {
        match self.methods.contains(call.request.method()) {
            true => (self.answer)(call).await,
            false => {
                let names: Vec<_> = self.methods.iter().map(Method::as_str).collect();
                not_allowed(&names.join(", "))
            }
        }
    }
}

/// The answer where there is nothing.
pub(crate) fn nothing(path: &str) -> Response<Body> {
    let patterns: Vec<_> = ROUTES.iter().map(|route| route.pattern).collect();
    failed(StatusCode::NOT_FOUND, &format!("there is nothing at {path}; there are {}", patterns.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_found_and_only_those() {
        for route in &ROUTES {
            let path = route.pattern.replace("{*group}", "a/host/b").replace("{name}", "job");
            assert_eq!(Route::of(&path).map(|found| found.pattern), Some(route.pattern));
        }
        for path in ["/-/", "/write/", "//write", "/api/v1/admin", "/api/v1/admin/flush/x", "/WRITE"] {
            assert!(Route::of(path).is_none(), "{path}");
        }
    }

    /// Only these may be asked by anybody: whoever adds another says it here.
    #[test]
    fn what_needs_no_token_only_says_that_it_is_alive() {
        let open = ROUTES.iter().filter(|route| route.scopes.is_empty()).map(|route| route.pattern);
        assert_eq!(open.collect::<Vec<_>>(), ["/health", "/-/healthy", "/-/ready", "/ping", "/ready"]);
        let administers = |route: &Route| route.pattern.starts_with("/api/v1/admin/");
        let is_admin = |route: &Route| route.scopes == [Scope::Admin];
        assert!(ROUTES.iter().filter(|route| administers(route)).all(is_admin));
        let others = ROUTES.iter().filter(|route| is_admin(route) && !administers(route)).map(|route| route.pattern);
        assert_eq!(others.collect::<Vec<_>>(), ["/api/v2/delete", "/api/v3/configure/table"]);
    }
}
