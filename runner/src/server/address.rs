//! A server's address: the text that a person types, as the addresses of its calls, pages and uploads.

use reqwest::Url;

/// A server's address. `Debug` and [`Address::name`] leave credentials out.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Ends with `/`; without `xmlrpc`, without credentials.
    base: Url,
    /// User and password from before the `@`.
    credentials: Option<(String, String)>,
    /// Of devmason's address for the builds of a project: `…/SLUG/builds`.
    project: Option<String>,
}

/// A text that is not a server's address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    #[error(
        "`{text}` is not a server address ({why}); write it as http://HOST:PORT/ or …/xmlrpc, or as a name from `servers` in config.yaml"
    )]
    NotAUrl { text: String, why: String },
    #[error("{0}: it must hold the certificates (PEM) to trust for the server")]
    Certificates(String),
    #[error("a pony-build server speaks http or https, not `{0}`")]
    Scheme(String),
}

impl Address {
    /// Parses it, with or without `/xmlrpc` at its end.
    pub(crate) fn new(text: &str) -> Result<Self, AddressError> {
        let mut base = Url::parse(text)
            .map_err(|error| AddressError::NotAUrl { text: hide(text), why: error.to_string() })?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(AddressError::Scheme(base.scheme().to_owned()));
        }
        let user = decoded(base.username());
        let password = base.password().map(decoded);
        let credentials =
            (!user.is_empty() || password.is_some()).then(|| (user, password.unwrap_or_default()));
        let _ = base.set_username("");
        let _ = base.set_password(None);
        base.set_query(None);
        base.set_fragment(None);
        let path = base.path().trim_end_matches('/');
        let (path, project) = match path.strip_suffix("/builds").and_then(|path| path.rsplit_once('/')) {
            Some((path, slug)) if !slug.is_empty() => (path, Some(slug.to_owned())),
            _ => (path.strip_suffix("/xmlrpc").unwrap_or(path), None),
        };
        let path = format!("{path}/");
        base.set_path(&path);
        Ok(Self { base, credentials, project })
    }

    /// The address without credentials and `xmlrpc`: the server's name in receipts and on screen.
    pub(crate) fn name(&self) -> String {
        match &self.project {
            Some(project) => format!("{}{project}/builds", self.base),
            None => self.base.to_string(),
        }
    }

    pub(crate) fn credentials(&self) -> Option<&(String, String)> {
        self.credentials.as_ref()
    }

    /// The project that the address names; only devmason's do.
    pub(crate) fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    pub(crate) fn calls(&self) -> Url {
        self.at(&["xmlrpc"])
    }

    /// An address below the server's own.
    pub(crate) fn at(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        // The server's own ends with `/`.
        if segments.is_empty() {
            return url;
        }
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// This machine, which is never reached through a proxy.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host();
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    pub(crate) fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({})", self.name())
    }
}

/// `text` without what stands before an `@`.
pub(super) fn hide(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        None => text.to_owned(),
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_end_with_xmlrpc_or_not() {
        let rows = [
            ("http://pony.example.org", "http://pony.example.org/xmlrpc", "http://pony.example.org/"),
            (
                "http://pony.example.org:8000/",
                "http://pony.example.org:8000/xmlrpc",
                "http://pony.example.org:8000/",
            ),
            ("https://example.org/xmlrpc", "https://example.org/xmlrpc", "https://example.org/"),
            ("http://example.org/pony/xmlrpc/", "http://example.org/pony/xmlrpc", "http://example.org/pony/"),
        ];
        for (given, url, name) in rows {
            let address = Address::new(given).unwrap();
            assert_eq!((address.calls().as_str(), address.name().as_str()), (url, name));
            assert_eq!(Address::new(&address.name()).unwrap(), address, "a name is an address");
        }
    }

    #[test]
    fn an_address_of_a_projects_builds_is_devmasons() {
        let address = Address::new("http://u:p%40@example.org/devmason/proj/builds").unwrap();
        assert_eq!(address.project(), Some("proj"));
        assert_eq!(address.name(), "http://example.org/devmason/proj/builds");
        assert_eq!(address.at(&["proj"]).as_str(), "http://example.org/devmason/proj");
        assert_eq!(address.credentials(), Some(&("u".to_owned(), "p@".to_owned())));
        assert_eq!(Address::new("http://example.org/builds").unwrap().project(), None);
    }

    #[test]
    fn credentials_show_nowhere() {
        let address = Address::new("http://user:hunter2@example.org/").unwrap();
        assert!(!address.name().contains("hunter2") && !format!("{address:?}").contains("hunter2"));
        assert!(!Address::new("user:hunter2@nowhere:x").unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn this_machine_has_several_names() {
        let is_loopback = |text: &str| Address::new(text).unwrap().is_loopback();
        assert!(
            ["http://127.0.0.1:8000/", "http://127.1/", "http://[::1]/", "http://localhost/"]
                .into_iter()
                .all(is_loopback)
        );
        assert!(!["http://10.0.0.1/", "http://localhost.example.org/"].into_iter().any(is_loopback));
    }

    #[test]
    fn an_address_below_another_is_joined_with_a_slash() {
        let address = Address::new("http://example.org/devmason").unwrap();
        assert_eq!(address.at(&[]).as_str(), "http://example.org/devmason/");
        assert_eq!(address.at(&["a", ""]).as_str(), "http://example.org/devmason/a/");
    }
}
