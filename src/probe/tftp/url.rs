//! `tftp://HOST[:PORT]/FILE`. Source: RFC 3617.

use super::TftpError;
use crate::format::tftp::PORT;
use std::net::{SocketAddr, ToSocketAddrs};
use url::Url;

/// Gives the server and the file's name that an address stands for.
///
/// The name is what follows the `/` behind the host, as firmware takes it; what is escaped in it is
/// read, and a mode behind a `;` is refused.
///
/// # Errors
/// Where it is no such address, or the host is not known.
pub fn parse(url: &Url) -> Result<(SocketAddr, String), TftpError> {
    let wrong = |what: String| TftpError::Address {
        address: crate::model::address::shown(url.as_str()),
        what,
    };
    if url.scheme() != "tftp" {
        return Err(wrong("it does not begin with `tftp://`".into()));
    }
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| wrong("it names no host".into()))?;
    let path = url.path().strip_prefix('/').unwrap_or(url.path());
    let file = percent_encoding::percent_decode_str(path).decode_utf8();
    let file = file.map_err(|_| wrong("the file's name is not UTF-8".into()))?;
    if file.is_empty() || file.contains('\0') {
        return Err(wrong("it names no file".into()));
    }
    if url.query().is_some() || url.fragment().is_some() || file.contains(";mode=") {
        return Err(wrong("a file's name has no `?`, `#` or `;mode=`".into()));
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut found = (bare, url.port().unwrap_or(PORT))
        .to_socket_addrs()
        .map_err(|error| wrong(format!("the host is not known: {error}")))?;
    let server = found.next();
    let server = server.ok_or_else(|| wrong("the host has no address".into()))?;
    Ok((server, file.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_server_and_a_file() {
        let read = |text: &str| parse(&Url::parse(text).unwrap());
        let (server, file) = read("tftp://127.0.0.1/boot/ipxe%20a.efi").unwrap();
        assert_eq!(
            (server.to_string().as_str(), file.as_str()),
            ("127.0.0.1:69", "boot/ipxe a.efi")
        );
        assert_eq!(
            read("tftp://[::1]:6969//abs").unwrap(),
            ("[::1]:6969".parse().unwrap(), "/abs".to_owned())
        );
        for wrong in [
            "http://h/x",
            "tftp://127.0.0.1",
            "tftp://127.0.0.1/",
            "tftp://127.0.0.1/a;mode=octet",
            "tftp://127.0.0.1/a?b",
            "tftp://127.0.0.1/%ff",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
