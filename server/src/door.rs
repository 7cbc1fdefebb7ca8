//! Who is let in, as whom, and from which page.
//!
//! A token says who somebody is. What carries none, or one that a browser adds by itself, may come from a page that
//! somebody else made: then the host that was asked for and the page's origin have to be right.

use std::net::IpAddr;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, HOST,
    HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY, WWW_AUTHENTICATE,
};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode};
use query::endpoint::{Body, WARNING_HEADER};

use crate::answer::{failed, respond};
use crate::tokens::{Denied, Granted, Guard, Scope, token};

/// What browsers say of the page that a request comes from.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What a proxy says that it was asked for.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Whom the server expects.
#[derive(Debug, Clone, Default)]
pub struct Neighbours {
    /// Pages of these origins (`https://status.example.org`) may do what their users may.
    pub origins: Vec<String>,
    /// Names under which it is asked, beside those of this machine.
    pub hosts: Vec<String>,
    /// Only under names that are known: when it listens on loopback, or when there are `hosts`.
    pub checks_hosts: bool,
    /// Addresses of proxies that say which host they were asked for.
    pub trusted_proxies: Vec<IpAddr>,
}

/// The door.
#[derive(Debug)]
pub(crate) struct Door {
    guard: Guard,
    neighbours: Neighbours,
}

impl Door {
    pub(crate) fn new(guard: Guard, neighbours: Neighbours) -> Door {
        Door { guard, neighbours }
    }

    /// Lets a request in to what needs one of these scopes, as somebody, or says why not. None lets everybody in.
    pub(crate) fn let_in<B>(
        &self,
        request: &Request<B>,
        peer: IpAddr,
        scopes: &[Scope],
    ) -> Result<Granted, Box<Response<Body>>> {
        if scopes.is_empty() {
            return Ok(Granted::default());
        }
        let refused = |reason: &str| Box::new(failed(StatusCode::FORBIDDEN, reason));
        // As long as there are no tokens it is none: any page can put something into an address.
        let of_address = password(request).filter(|_| self.guard.has_tokens());
        if of_address.is_none() && !carries_token(request.headers()) {
            let host = self.host(request, peer);
            self.check_host(host).map_err(|reason| refused(&reason))?;
            self.check_origin(request, host, scopes).map_err(|reason| refused(&reason))?;
        }
        let token = of_address.or_else(|| token(request.headers()));
        self.guard.check(token.as_deref(), scopes).map_err(|denied| Box::new(denial(&denied, scopes)))
    }

    /// The host that was asked for.
    fn host<'r, B>(&self, request: &'r Request<B>, peer: IpAddr) -> Option<&'r str> {
        let headers = request.headers();
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let forwarded = text(&FORWARDED_HOST).filter(|_| self.neighbours.trusted_proxies.contains(&peer));
        // A proxy behind a proxy adds its own behind what it was told.
        let forwarded = forwarded.and_then(|hosts| hosts.split(',').next()).map(str::trim);
        forwarded.or_else(|| request.uri().authority().map(Authority::as_str)).or_else(|| text(&HOST))
    }

    /// A name that is resolved to this machine by somebody else's resolver is a page that reads what it finds here.
    fn check_host(&self, host: Option<&str>) -> Result<(), String> {
        // A browser always says one.
        let Some(host) = host.filter(|_| self.neighbours.checks_hosts) else { return Ok(()) };
        let name = without_port(host);
        let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is_own = name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost");
        let is_known =
            self.neighbours.hosts.iter().any(|own| own.eq_ignore_ascii_case(name) || own.eq_ignore_ascii_case(host));
        match is_address || is_own || is_known {
            true => Ok(()),
            false => Err(format!("the host '{name}' is not expected here: add it to server.hosts, or send a token")),
        }
    }

    /// A page of another origin writes nothing, and administers nothing.
    fn check_origin<B>(&self, request: &Request<B>, host: Option<&str>, scopes: &[Scope]) -> Result<(), String> {
        let headers = request.headers();
        let is_look = scopes.contains(&Scope::Read) && matches!(*request.method(), Method::GET | Method::HEAD);
        let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("null"));
        // Whether a page may see the answer is between it and the browser.
        if is_look || origin.is_some_and(|origin| self.allows(origin)) {
            return Ok(());
        }
        let is_foreign = match headers.get(FETCH_SITE).map(HeaderValue::as_bytes) {
            Some(b"same-origin" | b"none") => false,
            Some(_) => true,
            None => origin.is_some_and(|origin| origin.split_once("://").map(|(_, of)| of) != host),
        };
        match is_foreign {
            false => Ok(()),
            true => {
                let origin = origin.unwrap_or("another origin");
                Err(format!("a page of {origin} may not do this: add the origin to server.origins, or send a token"))
            }
        }
    }

    fn allows(&self, origin: &str) -> bool {
        self.neighbours.origins.iter().any(|own| own.eq_ignore_ascii_case(origin))
    }

    /// The answer to a browser that asks whether a page of an allowed origin may send something.
    pub(crate) fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let asks = request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let origin =
            request.headers().get(ORIGIN).filter(|origin| origin.to_str().is_ok_and(|origin| self.allows(origin)));
        origin.filter(|_| asks)?;
        let mut response = respond(StatusCode::NO_CONTENT, "text/plain", String::new());
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PUT, DELETE"));
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("authorization, content-encoding, content-type"),
        );
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        Some(response)
    }

    /// The origin to which the browser may show the answer.
    pub(crate) fn shown_to(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        self.allows(origin.to_str().ok()?).then(|| origin.clone())
    }
}

/// Says in an answer to which origin it may be shown.
pub(crate) fn show(response: &mut Response<Body>, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(WARNING_HEADER));
    headers.append(VARY, HeaderValue::from_static("origin"));
}

/// A token that the client sent on purpose. What a browser remembers (`Basic`) it sends along with whatever a page asks
/// for.
fn carries_token(headers: &HeaderMap) -> bool {
    let value = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    value.is_some_and(|value| !value.get(..6).is_some_and(|kind| kind.eq_ignore_ascii_case(b"basic ")))
}

/// The token that clients of InfluxDB 1 put into the address, as the password of a user (`u`, `p`); on its paths only.
fn password<B>(request: &Request<B>) -> Option<String> {
    let path = request.uri().path();
    let is_influx = path.ends_with("/write") || path.ends_with("/query");
    let query = request.uri().query().filter(|_| is_influx).unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, value)| name == "p" && !value.is_empty()).map(|(_, value)| value.into_owned())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

fn denial(denied: &Denied, scopes: &[Scope]) -> Response<Body> {
    let scope = scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" or ");
    match denied {
        Denied::Unknown => {
            let reason = format!("this needs a token with the scope {scope}: send 'Authorization: Bearer TOKEN'");
            let mut response = failed(StatusCode::UNAUTHORIZED, &reason);
            for challenge in ["Bearer", "Basic realm=\"fournines: the password is a token\""] {
                response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            response
        }
        Denied::Scope => failed(StatusCode::FORBIDDEN, &format!("the token does not have the scope {scope}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 9));
    const SOMEBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn door(dir: &tempfile::TempDir, checks_hosts: bool) -> Door {
        let neighbours = Neighbours {
            origins: vec!["https://status.example.org".into()],
            hosts: vec!["watch.example.org".into()],
            checks_hosts,
            trusted_proxies: vec![PROXY],
        };
        Door::new(Guard::open(dir.path()).unwrap(), neighbours)
    }

    fn request(method: &str, headers: &[(&str, &str)]) -> Request<()> {
        let request = Request::builder().method(method).uri("/write");
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
    }

    /// Without a token everybody on this machine may do everything. A page that somebody visits is not everybody: its
    /// script posts to 127.0.0.1, or to a name that its resolver says is 127.0.0.1.
    #[test]
    fn a_page_of_somebody_else_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let door = door(&dir, true);
        let here = ("host", "127.0.0.1:9999");
        for (method, headers, scope, is_let_in) in [
            ("POST", &[here][..], Scope::Write, true),
            ("POST", &[], Scope::Admin, true),
            ("POST", &[here, ("origin", "http://127.0.0.1:9999")], Scope::Admin, true),
            ("POST", &[here, ("origin", "https://evil.example")], Scope::Write, false),
            ("POST", &[here, ("origin", "null")], Scope::Admin, false),
            ("POST", &[here, ("sec-fetch-site", "cross-site")], Scope::Write, false),
            ("POST", &[here, ("sec-fetch-site", "same-site")], Scope::Admin, false),
            (
                "POST",
                &[here, ("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:9999")],
                Scope::Admin,
                true,
            ),
            // Another port is another origin.
            ("POST", &[here, ("origin", "http://127.0.0.1:8000")], Scope::Write, false),
            (
                "POST",
                &[here, ("origin", "https://status.example.org"), ("sec-fetch-site", "cross-site")],
                Scope::Write,
                true,
            ),
            // Looking is between the page and the browser.
            ("GET", &[here, ("origin", "https://evil.example")], Scope::Read, true),
            ("POST", &[here, ("origin", "https://evil.example")], Scope::Read, false),
            // A password that the browser adds is no token that the page knows.
            ("POST", &[here, ("origin", "https://evil.example"), ("authorization", "Basic YTpi")], Scope::Write, false),
            ("POST", &[here, ("origin", "https://evil.example"), ("authorization", "Bearer fn9")], Scope::Write, true),
            ("GET", &[("host", "evil.example:9999")], Scope::Read, false),
            ("GET", &[("host", "evil.example:9999"), ("authorization", "bearer fn9")], Scope::Read, true),
            ("GET", &[("host", "localhost:9999")], Scope::Read, true),
            ("GET", &[("host", "[::1]:9999")], Scope::Read, true),
            ("GET", &[("host", "::1")], Scope::Read, true),
            ("GET", &[("host", "fournines.localhost")], Scope::Read, true),
            ("GET", &[("host", "notlocalhost")], Scope::Read, false),
            ("GET", &[("host", "watch.example.org")], Scope::Read, true),
        ] {
            let outcome = door.let_in(&request(method, headers), SOMEBODY, &[scope]);
            assert_eq!(outcome.is_ok(), is_let_in, "{method} {headers:?} {scope:?}");
        }
        assert!(
            door.let_in(&request("GET", &[("host", "evil.example")]), SOMEBODY, &[]).is_ok(),
            "it is alive for everybody"
        );
    }

    #[test]
    fn a_trusted_proxy_says_what_it_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let door = door(&dir, true);
        let from = |host: &str| {
            let headers =
                [("host", "127.0.0.1:9999"), ("x-forwarded-host", host), ("origin", "https://watch.example.org")];
            request("POST", &headers)
        };
        let outcome = |request: &Request<()>, peer| door.let_in(request, peer, &[Scope::Admin]).is_ok();
        assert!(outcome(&from("watch.example.org"), PROXY));
        assert!(outcome(&from("watch.example.org, inner"), PROXY));
        assert!(!outcome(&from("evil.example"), PROXY));
        assert!(!outcome(&from("watch.example.org"), SOMEBODY), "anybody can write a header");
    }

    #[test]
    fn an_allowed_origin_is_told_so_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let door = door(&dir, true);
        let asks = |origin: &str| request("OPTIONS", &[("origin", origin), ("access-control-request-method", "POST")]);
        assert!(door.preflight(&asks("https://status.example.org")).is_some());
        assert!(door.preflight(&asks("https://evil.example")).is_none());
        assert!(door.preflight(&request("POST", &[("origin", "https://status.example.org")])).is_none());
        assert!(door.shown_to(asks("https://status.example.org").headers()).is_some());
        assert!(door.shown_to(asks("https://evil.example").headers()).is_none());
    }
}
