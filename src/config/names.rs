//! Names of groups and clusters, host names, addresses and SRV names.

use super::error::Wrong;
use crate::domain::Product;
use std::net::{IpAddr, Ipv6Addr};

/// What a name of a group or cluster looks like.
pub const PATTERN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// How long such a name may be.
pub const LONGEST: usize = 63;

/// Checks the name of a group, a cluster or a store.
///
/// # Errors
/// What is wrong with it, with the nearest valid name.
pub fn name(text: &str) -> Result<(), Wrong> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !text.is_empty()
        && text.len() <= LONGEST
        && text.chars().all(fits)
        && !text.starts_with('-')
        && !text.ends_with('-')
    {
        return Ok(());
    }
    let replaced: String = text.to_lowercase().chars().map(|c| if fits(c) { c } else { '-' }).take(LONGEST).collect();
    let near = replaced.trim_matches('-').to_owned();
    let what = if text.len() > LONGEST {
        format!("\"{text}\" is too long for a name ({} characters)", text.len())
    } else {
        format!("\"{text}\" cannot be a name")
    };
    Err(Wrong::new(what)
        .expected(format!("lower-case letters, digits and inner dashes, at most {LONGEST}"))
        .nearest((!near.is_empty()).then_some(near)))
}

/// Reads `host:port`, `host`, `[v6]:port` or `[v6]`; a port that was left out is the product's.
/// Gives the address as it is dialled.
///
/// # Errors
/// What is wrong with it.
pub fn address(text: &str, product: Option<Product>) -> Result<String, Wrong> {
    let wrong = |what: &str| {
        Wrong::new(format!("\"{text}\" {what}")).expected("HOST:PORT, such as 10.0.0.7:60053 or [fd00::7]:60053")
    };
    if let Some((scheme, rest)) = text.split_once("://") {
        let near = rest.split(['/', '?']).next().unwrap_or_default();
        return Err(
            wrong(&format!("has a scheme ({scheme}://); TLS is switched on by `tls`")).nearest(Some(near.to_owned()))
        );
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| wrong("has no closing bracket"))?;
        host.parse::<Ipv6Addr>().map_err(|_| wrong("has no IPv6 address in its brackets"))?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(port),
            None if after.is_empty() => None,
            None => return Err(wrong("has something other than :PORT after the bracket")),
        };
        (format!("[{host}]"), port)
    } else if text.matches(':').count() > 1 {
        return Err(wrong("has more than one colon; an IPv6 address stands in brackets").nearest(bracketed(text)));
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        host_name(host).map_err(|what| wrong(&what))?;
        (host.to_owned(), port)
    };
    let port = match port {
        Some(port) => port
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| wrong(&format!("has the port \"{port}\", not one of 1 to 65535")))?,
        None => match product {
            Some(product) => {
                product.admin_port().ok_or_else(|| wrong("has no port, and the product custom has no default one"))?
            }
            // The product's own fault is told already; any port will do until it is known.
            None => 1,
        },
    };
    Ok(format!("{host}:{port}"))
}

fn bracketed(text: &str) -> Option<String> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some(format!("[{text}]"));
    }
    let (host, port) = text.rsplit_once(':')?;
    host.parse::<Ipv6Addr>().ok().map(|_| format!("[{host}]:{port}"))
}

/// Checks a host: a DNS name or an IPv4 address.
///
/// # Errors
/// What is wrong with it, as a verb phrase.
pub fn host_name(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("has no host".to_owned());
    }
    if let Some(odd) = host.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))) {
        return Err(format!("has {odd:?} in its host name"));
    }
    let labels = host.strip_suffix('.').unwrap_or(host);
    if host.len() > 253 || labels.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err("has a host name with an empty or too long part".to_owned());
    }
    let numeric = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    if numeric && host.parse::<IpAddr>().is_err() {
        return Err("has an IPv4 address that is none".to_owned());
    }
    Ok(())
}

/// Checks an SRV name, `_service._tcp.domain`.
///
/// # Errors
/// What is wrong with it.
pub fn srv(text: &str) -> Result<(), Wrong> {
    let wrong = |what: &str| {
        Wrong::new(format!("\"{text}\" {what}"))
            .expected("_SERVICE._tcp.DOMAIN, such as _scalardb._tcp.billing-headless.shop.svc.cluster.local")
    };
    if text.contains(':') {
        return Err(wrong("has a colon; an SRV record gives the port itself"));
    }
    let mut labels = text.splitn(3, '.');
    let (service, protocol, domain) =
        (labels.next().unwrap_or_default(), labels.next().unwrap_or_default(), labels.next().unwrap_or_default());
    if !service.starts_with('_') || service.len() < 2 {
        return Err(wrong("does not begin with a service (_NAME)"));
    }
    if protocol != "_tcp" {
        return Err(wrong("has no _tcp as its second part"));
    }
    if domain.is_empty() {
        return Err(wrong("has no domain"));
    }
    host_name(text).map_err(|what| wrong(&what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_left_out_is_the_products() {
        assert_eq!(address("a.example", Some(Product::ScalardbCluster)).as_deref(), Ok("a.example:60053"));
        assert_eq!(address("[::1]", Some(Product::ScalardlLedger)).as_deref(), Ok("[::1]:50053"));
        assert!(address("a.example", Some(Product::Custom)).is_err());
        assert_eq!(address("a.example:7", Some(Product::Custom)).as_deref(), Ok("a.example:7"));
    }

    #[test]
    fn addresses_that_cannot_be_dialled_are_refused() {
        for text in [
            "",
            ":1",
            "a:",
            "a:0",
            "a:65536",
            "a:+1x",
            "a b:1",
            "::1",
            "[::1",
            "[x]:1",
            "[::1]1",
            "http://a:1",
            "1.2.3:5",
            "a..b:1",
            "300.1.1.1:2",
        ] {
            assert!(address(text, Some(Product::ScalardbServer)).is_err(), "{text:?}");
        }
    }
}
