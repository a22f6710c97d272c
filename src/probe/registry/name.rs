//! The name of an image in a registry.

use super::RegistryError;
use crate::model::address::shown;
use crate::probe::http;
use oci_client::Reference;
use reqwest::Url;

/// Which image of which registry.
#[derive(Clone, Debug)]
pub struct Name {
    reference: Reference,
    /// The platform that is asked for, `os/architecture` or `os/architecture/variant`.
    pub platform: Option<String>,
    base: Url,
}

impl Name {
    /// Reads `oci://host[:port]/repository[:tag][@digest][?platform=os/architecture]`.
    ///
    /// The name is read as container engines do: without a host it is one of Docker Hub, without
    /// a tag and a digest the tag is `latest`.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(address: &str) -> Result<Self, RegistryError> {
        Self::with(address, std::env::var("TDG_PLAIN_HTTP").ok().as_deref())
    }

    fn with(address: &str, plain: Option<&str>) -> Result<Self, RegistryError> {
        let not = |what: String| RegistryError::Name {
            address: shown(address),
            what,
        };
        let text = address.strip_prefix("oci://").unwrap_or(address);
        let (text, query) = match text.split_once('?') {
            Some((text, query)) => (text, Some(query)),
            None => (text, None),
        };
        if let Some((before, _)) = text.split_once('/')
            && before.contains('@')
        {
            return Err(not("credentials belong in `docker login`, not in it".into()));
        }
        let platform = query.map(|query| match query.split_once('=') {
            Some(("platform", platform)) if is_platform(platform) => Ok(platform.to_owned()),
            Some(_) | None => Err(not(
                "behind the `?` only platform=os/architecture is understood".into(),
            )),
        });
        let platform = platform.transpose()?;
        let reference: Reference = text
            .parse()
            .map_err(|error: oci_client::ParseError| not(error.to_string()))?;
        let host = reference.resolve_registry();
        let secure = Url::parse(&format!("https://{host}/v2/"));
        let mut base = secure.map_err(|error| not(format!("`{host}`: {error}")))?;
        let mut asked = plain.unwrap_or_default().split(',');
        if http::is_loopback(&base) || asked.any(|plain| plain.trim() == host) {
            // Its port is another where none is written.
            base = Url::parse(&format!("http://{host}/v2/")).map_err(|e| not(e.to_string()))?;
        }
        Ok(Self {
            reference,
            platform,
            base,
        })
    }

    /// Speaks plain HTTP to the registry.
    #[must_use]
    pub fn plain(mut self) -> Self {
        // Its port is another where none is written.
        if let Ok(base) = Url::parse(&format!("http://{}/v2/", self.host())) {
            self.base = base;
        }
        self
    }

    /// Shows the name with another tag.
    pub fn with_tag(&self, tag: &str) -> String {
        let (host, repository) = (self.reference.registry(), self.repository());
        format!("oci://{host}/{repository}:{tag}")
    }

    /// Shows the name.
    pub fn shown(&self) -> String {
        let platform = self.platform.as_ref().map(|p| format!("?platform={p}"));
        format!("oci://{}{}", self.reference, platform.unwrap_or_default())
    }

    /// Gives the host, and the port where one is written, under which credentials are kept.
    pub fn host(&self) -> &str {
        self.reference.resolve_registry()
    }

    /// Gives the repository.
    pub fn repository(&self) -> &str {
        self.reference.repository()
    }

    /// Gives the digest of the manifest where the name has one.
    pub fn digest(&self) -> Option<&str> {
        self.reference.digest()
    }

    /// Gives the tag where the name has one.
    pub fn tag(&self) -> Option<&str> {
        self.reference.tag()
    }

    /// Gives where the registry's interface begins.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Gives the address of a manifest, by digest or tag, or of a blob. Every part of it has been
    /// read by the grammar of names, in which nothing has to be escaped.
    pub fn url(&self, what: &str, which: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{}/{what}/{which}", self.repository()));
        url
    }
}

fn is_platform(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let said = |part: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(plain)
    };
    matches!(parts.len(), 2 | 3) && parts.iter().all(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_are_read_as_others_read_them() {
        let url = |text: &str| {
            let name = Name::with(text, Some("plain.example:5000, other.example")).unwrap();
            let which = name.digest().or(name.tag()).unwrap().to_owned();
            name.url("manifests", &which).to_string()
        };
        for (text, want) in [
            (
                "oci://r.example/a/b:1",
                "https://r.example/v2/a/b/manifests/1".to_owned(),
            ),
            (
                "oci://r.example:444/a",
                "https://r.example:444/v2/a/manifests/latest".to_owned(),
            ),
            (
                "oci://r.example/a:1@DIGEST",
                format!("https://r.example/v2/a/manifests/{DIGEST}"),
            ),
            (
                "oci://127.0.0.1:5000/a:1",
                "http://127.0.0.1:5000/v2/a/manifests/1".to_owned(),
            ),
            (
                "oci://localhost:5000/a:1",
                "http://localhost:5000/v2/a/manifests/1".to_owned(),
            ),
            (
                "oci://plain.example:5000/a:1",
                "http://plain.example:5000/v2/a/manifests/1".to_owned(),
            ),
            (
                "oci://other.example/a:1",
                "http://other.example/v2/a/manifests/1".to_owned(),
            ),
            (
                "oci://plain.example/a:1",
                "https://plain.example/v2/a/manifests/1".to_owned(),
            ),
        ] {
            assert_eq!(url(&text.replace("DIGEST", DIGEST)), want, "{text}");
        }
        let name = Name::with("oci://r.example/a:1?platform=linux/arm64", None).unwrap();
        assert_eq!(name.platform.as_deref(), Some("linux/arm64"));
        assert_eq!(name.shown(), "oci://r.example/a:1?platform=linux/arm64");
    }

    #[test]
    fn what_names_no_image_is_refused_and_its_password_not_shown() {
        for text in [
            "oci://",
            "oci:///a",
            "oci://r.example/",
            "oci://r.example/UPPER",
            "oci://r.example/a/../b",
            "oci://r.example/a:b:c",
            "oci://r.example/a@sha256:abc",
            "oci://r.example/a?platform=linux",
            "oci://r.example/a?platform=linux/../x",
            "oci://r.example/a?tag=x",
            "oci://me:secret@r.example/a",
            "oci://r.example/a%2f..",
        ] {
            let error = Name::with(text, None).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
