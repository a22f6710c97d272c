//! Addresses of servers: who may be shown them, and where they may lead on to.

use super::HttpError;
use crate::model::address::shown;
use reqwest::Url;
use std::net::{Ipv4Addr, Ipv6Addr};
use url::Host;

/// Shows a parsed address without what may be secret in it, as [`shown`] does.
pub fn shown_url(url: &Url) -> String {
    shown(url.as_str())
}

/// Reads an address of a server.
///
/// # Errors
/// Where it is none, or begins with another scheme than `http` and `https`.
pub fn parse(text: &str) -> Result<Url, HttpError> {
    let not = |what: String| HttpError::Address {
        address: shown(text),
        what,
    };
    let url = Url::parse(text).map_err(|error| not(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(not(format!("`{}` is not http or https", url.scheme())));
    }
    match url.host() {
        Some(_) => Ok(url),
        None => Err(not("it names no host".into())),
    }
}

/// Tells whether two addresses have scheme, host and port in common: whether the second may be
/// told what was meant for the first.
pub fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Tells whether an address is one of this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_local_name(name),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback() || v4(ip).is_some_and(|ip| ip.is_loopback()),
        None => false,
    }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

fn v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    ip.to_ipv4_mapped()
}

/// Tells whether an address is one that only this machine knows what is behind it: itself, or what
/// is on its link, where clouds keep their machines' credentials.
fn is_private_to_here(url: &Url) -> bool {
    let link = |ip: Ipv4Addr| ip.is_link_local() || ip.is_unspecified();
    is_loopback(url)
        || match url.host() {
            Some(Host::Domain(_)) | None => false,
            Some(Host::Ipv4(ip)) => link(ip),
            Some(Host::Ipv6(ip)) => {
                ip.is_unicast_link_local() || ip.is_unspecified() || v4(ip).is_some_and(link)
            }
        }
}

/// Finds where a redirect leads.
///
/// # Errors
/// Where it leads from `https` to `http`, to another scheme, or from elsewhere into this machine.
pub fn follow(from: &Url, location: &str) -> Result<Url, HttpError> {
    let not = |what: String| HttpError::Redirect {
        address: shown_url(from),
        what,
    };
    let mut to = from
        .join(location)
        .map_err(|error| not(format!("a redirect to no address ({error})")))?;
    let shown = shown_url(&to);
    if !matches!(to.scheme(), "http" | "https") || to.host().is_none() {
        return Err(not(format!("a redirect to {shown}, which is not http")));
    }
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err(not(format!(
            "a redirect from https to http ({shown}) is not followed"
        )));
    }
    if is_private_to_here(&to) && !is_private_to_here(from) {
        return Err(not(format!(
            "a redirect into this machine ({shown}) is not followed"
        )));
    }
    if !same_origin(from, &to) {
        let _ = to.set_username("");
        let _ = to.set_password(None);
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_only_where_it_may() {
        let from = |text: &str| Url::parse(text).unwrap();
        let leads = |a: &str, b: &str| follow(&from(a), b).map(|url| url.to_string());
        let plain = "http://a.example/x/y";
        assert_eq!(leads(plain, "/z").unwrap(), "http://a.example/z");
        assert_eq!(leads(plain, "z?q").unwrap(), "http://a.example/x/z?q");
        assert_eq!(
            leads(plain, "https://b.example/").unwrap(),
            "https://b.example/"
        );
        let own = leads("http://me:pw@a.example/", "http://b.example/").unwrap();
        assert_eq!(own, "http://b.example/", "no credentials");
        assert_eq!(
            leads(plain, "//me:pw@b.example/").unwrap(),
            "http://b.example/"
        );
        for (a, b) in [
            ("https://a.example/", "http://a.example/"),
            (plain, "file:///etc/passwd"),
            (plain, "ftp://b.example/"),
            (plain, "http://"),
            (plain, "http://localhost/"),
            (plain, "http://127.0.0.1:8080/"),
            (plain, "http://[::1]/"),
            (plain, "http://[::ffff:127.0.0.1]/"),
            (plain, "http://169.254.169.254/latest/meta-data"),
            (plain, "http://0.0.0.0/"),
            (plain, "http://2130706433/"),
        ] {
            assert!(leads(a, b).is_err(), "{b}");
        }
        assert!(leads("http://127.0.0.1:1/", "http://localhost:2/").is_ok());
    }

    #[test]
    fn only_web_servers_are_addressed() {
        for wrong in [
            "",
            "h.example",
            "ftp://h.example/",
            "http://",
            "http://[::1/",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse("http://h.example").is_ok());
    }
}
