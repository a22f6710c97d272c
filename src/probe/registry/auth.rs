//! How a registry wants to be told who asks.

use super::RegistryError;
use super::credentials::Login;
use crate::probe::http::client::Client;
use crate::probe::http::download::Memory;
use crate::probe::http::request::{Body, Request};
use crate::probe::http::{self, HttpError};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Url};
use serde::Deserialize;
use std::time::{Duration, Instant};
use url::form_urlencoded;

/// No token is longer, nor what comes with it.
const MAX_TOKEN: usize = 1 << 20;
/// No token is believed to be good for longer, in seconds.
const MAX_LIFE: u64 = 86_400;

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password. Source: RFC 7617.
    Basic,
    /// A token, to be had at another place. Source: distribution's `spec/auth/token.md`.
    Bearer {
        /// The place.
        realm: String,
        /// For whom the token is.
        service: Option<String>,
        /// What it is to allow.
        scope: Option<String>,
    },
}

impl Challenge {
    /// Reads the headers of an answer 401; `None` where nothing in them is understood.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut found = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            match Self::read(value.to_str().ok()?) {
                Some(Self::Basic) => found = Some(Self::Basic),
                Some(bearer @ Self::Bearer { .. }) => return Some(bearer),
                None => {}
            }
        }
        found
    }

    /// Reads one header `WWW-Authenticate`: of several challenges in it, that for a token. Source:
    /// RFC 9110, 11.6.1.
    pub fn read(text: &str) -> Option<Self> {
        let mut basic = None;
        for challenge in http_auth::parse_challenges(text).ok()? {
            let parameter = |wanted: &str| {
                let mut all = challenge.params.iter();
                let found = all.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                return Some(Self::Bearer {
                    realm: parameter("realm")?,
                    service: parameter("service"),
                    scope: parameter("scope"),
                });
            }
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Self::Basic);
            }
        }
        basic
    }
}

/// Finds the address at which a token is to be had.
///
/// # Errors
/// Where it is none, or where it would be asked for in plain text although the registry is not:
/// what proves who asks could be read on the way.
fn place(realm: &str, registry: &Url) -> Result<Url, RegistryError> {
    let url = http::parse(realm)?;
    let plain = registry.scheme() == "http" && url.host() == registry.host();
    if url.scheme() != "https" && !plain && !http::is_loopback(&url) {
        return Err(RegistryError::Credentials {
            name: http::shown_url(registry),
            what: format!(
                "tokens are to be had at {}, which is not https: nothing is told there",
                http::shown_url(&url)
            ),
        });
    }
    if http::is_loopback(&url) && !http::is_loopback(registry) {
        return Err(RegistryError::Credentials {
            name: http::shown_url(registry),
            what: "tokens are to be had in this machine: it is not asked".into(),
        });
    }
    Ok(url)
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// What allows something for a while.
#[derive(Clone)]
pub struct Token {
    /// The header that tells it.
    pub header: HeaderValue,
    /// When it is to be replaced; `None` where nothing is said.
    pub until: Option<Instant>,
}

/// Gets a token that allows what the scopes say.
///
/// # Errors
/// Where the place gives none.
pub fn token(
    challenge: (&str, Option<&str>),
    registry: &Url,
    scopes: &[String],
    login: Option<Login>,
    deadline: Option<Instant>,
) -> Result<Token, RegistryError> {
    let (realm, service) = challenge;
    // Never more than is needed, whatever the registry proposes.
    let mut url = place(realm, registry)?;
    let shown = http::shown_url(&url);
    let has_login = login.is_some();
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(service) = service {
        query.append_pair("service", service);
    }
    let request = match login {
        // Source: distribution's `spec/auth/oauth.md`.
        Some(Login::Identity(secret)) => {
            query.append_pair("grant_type", "refresh_token");
            query.append_pair("client_id", "tdg");
            query.append_pair("scope", &scopes.join(" "));
            query.append_pair("refresh_token", &secret);
            let form = query.finish().into_bytes();
            Request::new(Method::POST, url.clone(), deadline)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Body::Bytes(form))
        }
        login => {
            for scope in scopes {
                query.append_pair("scope", scope);
            }
            let own = url.query().map(|own| format!("{own}&"));
            let query = own.unwrap_or_default() + &query.finish();
            url.set_query(Some(&query));
            let mut request = Request::get(url.clone(), deadline);
            request.authorization = match login {
                Some(Login::Basic(header)) => Some(header),
                Some(Login::Identity(_)) | None => None,
            };
            request
        }
    };
    let begin = Instant::now();
    let (head, sink) = Client::shared()?.ask(request, Memory::new(&url, MAX_TOKEN, "a token"));
    let head = head?;
    let bytes = sink.map(|sink| sink.bytes).unwrap_or_default();
    if matches!(head.status, 401 | 403) && has_login {
        return Err(RegistryError::Credentials {
            name: shown,
            what: format!(
                "who gives the tokens answers {}: it does not take the credentials that are \
                 written down, or they may not do this; log in again",
                head.status
            ),
        });
    }
    if head.status != 200 {
        return Err(HttpError::Status {
            address: shown,
            status: head.status,
        }
        .into());
    }
    let answer: Option<Answer> = serde_json::from_slice(&bytes).ok();
    let life = answer.as_ref().and_then(|answer| answer.expires_in);
    let token = answer.and_then(|answer| answer.token.or(answer.access_token));
    let header = token
        .filter(|token| !token.is_empty())
        .and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
    let mut header = header.ok_or_else(|| RegistryError::Credentials {
        name: shown,
        what: "the answer holds no token".into(),
    })?;
    header.set_sensitive(true);
    // A fifth of its life is kept back for what is under way when it ends.
    let until = life.and_then(|life| {
        let life = Duration::from_secs(life.min(MAX_LIFE));
        begin.checked_add(life - life / 5)
    });
    Ok(Token { header, until })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(text));
        }
        Challenge::of(&headers)
    }

    #[test]
    fn a_challenge_is_read_whatever_its_form() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.into(),
                service: service.map(str::to_owned),
                scope: scope.map(str::to_owned),
            })
        };
        assert_eq!(
            read(&[
                r#"Bearer realm="https://a.example/token",service="r.example",scope="repository:a/b:pull""#
            ]),
            bearer(
                "https://a.example/token",
                Some("r.example"),
                Some("repository:a/b:pull")
            )
        );
        assert_eq!(
            read(&["Basic realm=\"x\"", "bearer Realm=\"https://a.example/\""]),
            bearer("https://a.example/", None, None)
        );
        assert_eq!(
            read(&["BASIC realm=\"a, Bearer realm=b\""]),
            Some(Challenge::Basic)
        );
        for none in [
            "",
            "Bearer",
            "Negotiate",
            "Bearer service=\"x\"",
            "Bearer realm=\"",
            "\"",
        ] {
            assert_eq!(read(&[none]), None, "{none}");
        }
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn who_asks_is_not_told_in_plain_text_nor_to_this_machine() {
        let url = |text: &str| Url::parse(text).unwrap();
        let (safe, plain) = (
            url("https://r.example/v2/"),
            url("http://r.example:5000/v2/"),
        );
        let at = |realm: &str, registry: &Url| place(realm, registry);
        assert_eq!(
            at("https://a.example/t?x=1", &safe).unwrap().as_str(),
            "https://a.example/t?x=1"
        );
        assert!(at("http://r.example:5001/t", &plain).is_ok());
        for realm in [
            "http://a.example/t",
            "http://r.example/t",
            "http://127.0.0.1/t",
            "https://127.0.0.1/t",
            "file:///etc/passwd",
            "",
            "/t",
        ] {
            assert!(at(realm, &safe).is_err(), "{realm}");
        }
        assert!(at("http://a.example/t", &plain).is_err());
        let local = url("http://127.0.0.1:5000/v2/");
        assert!(at("http://127.0.0.1:5001/t", &local).is_ok());
    }
}
