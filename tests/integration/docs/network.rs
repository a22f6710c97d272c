//! The servers that documents speak of, at the addresses they have in these tests.

use std::fs;
use std::path::Path;

use crate::servers::{Server, dnsmasq, nginx};

/// Where documents say that a web server is; it has the artifacts of the demo below `/assets`.
const WEB: &str = "127.0.0.1:8080";
/// Where documents say that a name server is.
const NAMES: &str = "127.0.0.1:5353";

/// Real servers; each missing where its program is, which was said.
pub(super) struct Network {
    web: Option<Server>,
    names: Option<Server>,
}

impl Network {
    /// Starts them in a folder.
    pub(super) fn start(folder: &Path, assets: &Path) -> Self {
        let web = folder.join("web");
        fs::create_dir_all(&web).unwrap();
        let settings = format!(
            "default_type application/octet-stream; location /assets {{ alias {}; }}",
            assets.display()
        );
        Self {
            web: nginx(&web, false, &settings),
            names: dnsmasq(
                &folder.join("names"),
                &["--host-record=boot.example,192.0.2.7".to_owned()],
            ),
        }
    }

    /// Gives each address of a text with the server that is there.
    fn addresses(&self) -> [(&'static str, &Option<Server>); 2] {
        [(WEB, &self.web), (NAMES, &self.names)]
    }

    /// Puts the real addresses in for those a document names.
    pub(super) fn real(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (address, server) in self.addresses() {
            if let Some(server) = server {
                text = text.replace(address, &format!("127.0.0.1:{}", server.port));
            }
        }
        text
    }

    /// Tells whether a text needs a server that cannot be started here.
    pub(super) fn is_missing_for(&self, text: &str) -> bool {
        let missing =
            |(address, server): (&str, &Option<Server>)| server.is_none() && text.contains(address);
        self.addresses().into_iter().any(missing)
    }
}
