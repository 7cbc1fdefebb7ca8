//! What all checks of web addresses have in common.

use url::Url;

use crate::checks::ask::Ask;
use crate::net::identity::HttpVersion;

/// The schemes of web addresses.
pub(super) const SCHEMES: &[&str] = &["http", "https"];

/// Refuses what no web address can be asked.
///
/// # Errors
///
/// What it is.
pub(super) fn check(url: &Url, ask: &Ask) -> Result<(), String> {
    if ask.http.version == HttpVersion::Http3 {
        if !cfg!(feature = "http3") {
            return Err("http = \"3\" needs a build with the cargo feature http3 (cargo build --features http3)".into());
        }
        if url.scheme() != "https" || ask.http.proxy.is_some() {
            return Err("http = \"3\" is for https without a proxy".into());
        }
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user in the address is not sent; basic_auth is".into());
    }
    Ok(())
}
