//! Addresses that a probe does not connect to unless it is told to, and how addresses are shown.

use std::net::IpAddr;

use url::Url;

/// Cloud metadata services outside of the link-local ranges: AWS over IPv6, Alibaba Cloud, Oracle Cloud's old one.
const METADATA: [&str; 3] = ["fd00:ec2::254", "100.100.100.200", "192.0.0.192"];

/// Is this an address that only the machine's own network segment or cloud host answers on? A name that leads there
/// would make the prober fetch credentials for whoever controls the name.
pub(crate) fn is_link_local_or_metadata(address: IpAddr) -> bool {
    let address = address.to_canonical(); // ::ffff:169.254.169.254 is 169.254.169.254
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    link_local || METADATA.iter().any(|known| known.parse() == Ok(address))
}

/// An address as it may be shown: without its password.
///
/// # Examples
///
/// ```
/// let url = "postgres://probe:s3cret@db.example/orders".parse().unwrap();
/// assert_eq!(web_probe::without_password(&url), "postgres://probe@db.example/orders");
/// ```
pub fn without_password(url: &Url) -> String {
    let mut shown = url.clone();
    let _ = shown.set_password(None); // an address that can have none has none
    shown.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_link_local_are_told_from_the_rest() {
        for bad in
            ["169.254.169.254", "169.254.0.1", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200"]
        {
            assert!(is_link_local_or_metadata(bad.parse().unwrap()), "{bad}");
        }
        for good in ["127.0.0.1", "10.0.0.1", "192.168.1.1", "8.8.8.8", "::1", "fd00::1", "2001:db8::1"] {
            assert!(!is_link_local_or_metadata(good.parse().unwrap()), "{good}");
        }
    }
}
