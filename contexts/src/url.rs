//! Where a repository is: a URL, an scp-like address, or a path. Its text never shows a credential.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use percent_encoding::percent_decode_str;
use thiserror::Error;

/// A user name of this length or more is taken for an access token: tokens are often given in its place.
const TOKEN_LENGTH: usize = 20;

/// Address of a repository. `Display` and `Debug` leave credentials out.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// The address as given, without credentials.
    text: String,
    kind: Kind,
    /// Boxed, as few addresses have them and errors carry addresses.
    credentials: Option<Box<Credentials>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `scheme://…`, anything but `file`.
    Remote,
    /// `user@host:path`, by ssh.
    Scp,
    /// `file://…`.
    File,
    /// A path of this machine, possibly relative.
    Path,
}

/// What stood before the `@` of a URL that asks for a login, as written there (percent-encoded).
#[derive(Clone, PartialEq, Eq)]
struct Credentials {
    user: String,
    password: Option<String>,
}

/// A text that is not an address. Its message does not repeat the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UrlError {
    /// Nothing there.
    #[error("the address of the repository is empty")]
    Empty,
    /// A line break, NUL or another control character.
    #[error("the address of the repository contains a control character")]
    Control,
    /// `https://` and nothing after it, or a host that begins with `-`.
    #[error("the address of the repository names no host")]
    Host,
    /// What follows the host's colon is no number: often an unescaped `/` in a password.
    #[error("the port in the address of the repository is not a number (in a password, write `/` as `%2F`)")]
    Port,
    /// `ext::…` and the like, which run a program that the address names.
    #[error("addresses of the form `helper::address` are not supported")]
    Helper,
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.is_empty() {
            return Err(UrlError::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(UrlError::Control);
        }
        if let Some((scheme, rest)) = text.split_once("://")
            && is_scheme(scheme)
        {
            return if scheme.eq_ignore_ascii_case("file") {
                Ok(Self { text: text.to_owned(), kind: Kind::File, credentials: None })
            } else {
                remote(scheme, rest)
            };
        }
        if let Some((helper, _)) = text.split_once("::")
            && is_scheme(helper)
        {
            return Err(UrlError::Helper);
        }
        // Git's own rule: a colon before the first slash makes it a host and a path.
        match text.find([':', '/']) {
            Some(at) if text.as_bytes()[at] == b':' => scp(&text[..at], &text[at + 1..]),
            _ => Ok(Self { text: text.to_owned(), kind: Kind::Path, credentials: None }),
        }
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn remote(scheme: &str, rest: &str) -> Result<Url, UrlError> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, authority),
    };
    if host.is_empty() || host.starts_with(['-', ':']) {
        return Err(UrlError::Host);
    }
    // The last colon that is not inside the brackets of an IPv6 address.
    let port = host.rsplit(']').next().and_then(|tail| tail.split_once(':')).map_or("", |(_, port)| port);
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UrlError::Port);
    }
    let login = login.map(|login| match login.split_once(':') {
        Some((user, password)) => Credentials { user: user.to_owned(), password: Some(password.to_owned()) },
        None => Credentials { user: login.to_owned(), password: None },
    });
    let by_ssh = scheme.to_ascii_lowercase().contains("ssh");
    let shown = match &login {
        // Ssh takes no password from an address, but needs the user.
        Some(login) if by_ssh && !login.user.is_empty() => format!("{}@", login.user),
        _ => String::new(),
    };
    Ok(Url {
        text: format!("{scheme}://{shown}{host}{path}"),
        kind: Kind::Remote,
        credentials: login.map(Box::new),
    })
}

fn scp(host: &str, path: &str) -> Result<Url, UrlError> {
    let bare = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if host.starts_with('-') || bare.is_empty() || bare.starts_with('-') || path.is_empty() {
        return Err(UrlError::Host);
    }
    // `user:password@host:path` has its first colon in the login.
    if let Some((login, rest)) = path.rsplit_once('@')
        && !login.contains('/')
        && rest.contains(':')
    {
        let credentials = Credentials { user: host.to_owned(), password: Some(login.to_owned()) };
        return Ok(Url {
            text: format!("{host}@{rest}"),
            kind: Kind::Scp,
            credentials: Some(Box::new(credentials)),
        });
    }
    Ok(Url { text: format!("{host}:{path}"), kind: Kind::Scp, credentials: None })
}

impl Url {
    /// What must be redacted wherever output goes: the password as written and decoded, `user:password`, and a user
    /// name so long that it is an access token. Longest first.
    pub fn secrets(&self) -> Vec<String> {
        let Some(Credentials { user, password }) = self.credentials.as_deref() else { return Vec::new() };
        let mut secrets = Vec::new();
        if let Some(password) = password.as_ref().filter(|password| !password.is_empty()) {
            secrets.extend([format!("{user}:{password}"), decoded(password), password.clone()]);
        }
        if user.len() >= TOKEN_LENGTH {
            secrets.extend([decoded(user), user.clone()]);
        }
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        secrets
    }

    /// What a version control program is given: the address without credentials; a path made absolute from `base`
    /// (the recipe's folder), with a leading `~` standing for `home`.
    pub fn address(&self, base: &Path, home: Option<&Path>) -> OsString {
        match self.kind {
            Kind::Path => absolute(Path::new(&self.text), base, home).into(),
            Kind::Remote | Kind::Scp | Kind::File => self.text.clone().into(),
        }
    }

    /// True for a repository on this machine's file systems.
    pub fn is_local(&self) -> bool {
        matches!(self.kind, Kind::File | Kind::Path)
    }

    /// The last part of the address, without `.git`, made of letters, digits, `.`, `_` and `-` only; for people
    /// to recognise a folder by, not unique.
    pub fn basename(&self) -> String {
        let text = self.text.trim_end_matches('/');
        let text = text.strip_suffix("/.git").unwrap_or(text);
        let last = text.rsplit(['/', ':']).next().unwrap_or_default();
        let last = last.strip_suffix(".git").unwrap_or(last);
        let clean: String = last
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
            .take(40)
            .collect();
        match clean.trim_start_matches(['.', '-']) {
            "" => "repository".to_owned(),
            clean => clean.to_owned(),
        }
    }

    /// The address without the revision that follows the last `@` of its last part, and that revision, if `is_revision` says
    /// so of what stands there.
    pub(crate) fn split_revision(&self, is_revision: impl Fn(&str) -> bool) -> (Self, Option<&str>) {
        let path = match (self.kind, self.text.split_once("://")) {
            (Kind::Remote | Kind::File, Some((_, rest))) => rest.split_once('/').map_or("", |(_, path)| path),
            _ => &self.text,
        };
        match path.rsplit_once('@') {
            Some((before, revision)) if !before.is_empty() && is_revision(revision) => {
                let text = self.text[..self.text.len() - revision.len() - 1].to_owned();
                (Self { text, ..self.clone() }, Some(revision))
            }
            _ => (self.clone(), None),
        }
    }

    /// The same place for somebody who has no login.
    pub(crate) fn without_login(&self) -> Self {
        Self { credentials: None, ..self.clone() }
    }

    /// Scheme and host, `https://host:8443`, where a login of that kind is asked for; `None` for all else.
    pub(crate) fn login_scope(&self) -> Option<&str> {
        let (scheme, rest) = self.text.split_once("://")?;
        let web = ["http", "https"].iter().any(|name| scheme.eq_ignore_ascii_case(name));
        let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        web.then(|| &self.text[..scheme.len() + 3 + host])
    }

    /// The address with a query; `None` where it has one, or is of a kind that has none.
    pub(crate) fn with_query(&self, query: &str) -> Option<Self> {
        self.login_scope().filter(|_| !self.text.contains(['?', '#']))?;
        Some(Self { text: format!("{}?{query}", self.text), ..self.clone() })
    }

    /// User and password that the address held, percent-decoded; the password may be empty.
    pub fn user_and_password(&self) -> Option<(String, String)> {
        match self.login()? {
            Login::Name(user) => Some((user, String::new())),
            Login::Pair { user, password } => Some((user, password)),
        }
    }

    /// The login that the address held.
    pub(crate) fn login(&self) -> Option<Login> {
        let Credentials { user, password } = self.credentials.as_deref()?;
        let name = decoded(user);
        match password {
            Some(password) => Some(Login::Pair { user: name, password: decoded(password) }),
            None if user.len() >= TOKEN_LENGTH => Some(Login::Pair { user: name, password: String::new() }),
            None if user.is_empty() => None,
            None => Some(Login::Name(name)),
        }
    }
}

/// A login, percent-decoded.
#[derive(PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Login {
    /// A user name that is no secret; the password comes from elsewhere.
    Name(String),
    /// Both are secret: the name may be a token.
    Pair { user: String, password: String },
}

/// `path` from `base`, with a leading `~` standing for `home`.
pub(crate) fn absolute(path: &Path, base: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        // Without `.` in it.
        _ => base.join(path).components().collect(),
    }
}

/// `%41` → `A`; invalid escapes stay as they are.
pub(crate) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Url({:?})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn credentials_are_not_shown() {
        for (given, shown) in [
            ("https://github.com/python/cpython.git", "https://github.com/python/cpython.git"),
            ("https://ann:s3cret@host:8443/x.git", "https://host:8443/x.git"),
            ("https://ann@host/x", "https://host/x"),
            ("https://a@b:s3cret@host/x", "https://host/x"),
            ("HTTPS://:s3cret@host", "HTTPS://host"),
            ("https://s3cret@[::1]:80/x", "https://[::1]:80/x"),
            ("ssh://git@host:22/~/x", "ssh://git@host:22/~/x"),
            ("ssh://ann:s3cret@host/x", "ssh://ann@host/x"),
            ("git+ssh://git@host/x", "git+ssh://git@host/x"),
            ("git@host:a/b.git", "git@host:a/b.git"),
            ("ann:s3cret@host:a/b.git", "ann@host:a/b.git"),
            ("host:a@b/c", "host:a@b/c"),
            ("file:///srv/a:b@c.git", "file:///srv/a:b@c.git"),
            ("/srv/a:b@c.git", "/srv/a:b@c.git"),
            ("https://host/@scope/x", "https://host/@scope/x"),
            ("./a:b", "./a:b"),
        ] {
            assert_eq!(url(given).to_string(), shown, "{given}");
            assert!(!format!("{:?}", url(given)).contains("s3cret"), "{given}");
        }
    }

    #[test]
    fn what_must_be_redacted() {
        assert_eq!(url("https://ann:p%40ss@host/x").secrets(), ["ann:p%40ss", "p%40ss", "p@ss"]);
        assert_eq!(url("https://ann@host/x").secrets(), [""; 0]);
        assert_eq!(url("https://host/x").secrets(), [""; 0]);
        assert_eq!(url("https://ghp_0123456789abcdef@host/x").secrets(), ["ghp_0123456789abcdef"]);
        assert_eq!(url("https://x:%zz%4@host/x").secrets(), ["x:%zz%4", "%zz%4"]);
    }

    #[test]
    fn what_is_refused() {
        for (given, error) in [
            ("", UrlError::Empty),
            ("https://host/\nx", UrlError::Control),
            ("https:///x", UrlError::Host),
            ("https://user:pass@/x", UrlError::Host),
            ("ssh://-oProxyCommand=x/y", UrlError::Host),
            ("-oProxyCommand=x:y", UrlError::Host),
            ("git@-oProxyCommand=x:y", UrlError::Host),
            ("https://ann:p/w@host/x", UrlError::Port),
            ("ext::sh -c whoami", UrlError::Helper),
        ] {
            assert_eq!(given.parse::<Url>(), Err(error), "{given}");
        }
    }

    #[test]
    fn addresses_of_paths_are_absolute() {
        let base = Path::new("/recipes");
        let home = Some(Path::new("/home/ann"));
        for (given, address) in [
            ("../x.git", "/recipes/../x.git"),
            ("/srv/x", "/srv/x"),
            ("~/x", "/home/ann/x"),
            ("~bob/x", "/recipes/~bob/x"),
            ("--upload-pack=x", "/recipes/--upload-pack=x"),
            ("https://a:b@host/x", "https://host/x"),
        ] {
            assert_eq!(url(given).address(base, home), address, "{given}");
        }
    }

    #[test]
    fn basenames_are_plain() {
        for (given, name) in [
            ("https://github.com/python/cpython.git", "cpython"),
            ("git@host:solo.git", "solo"),
            ("/srv/x/.git/", "x"),
            ("/", "repository"),
            ("/srv/..", "repository"),
            ("/srv/zo\u{eb} x", "zo__x"),
        ] {
            assert_eq!(url(given).basename(), name, "{given}");
        }
    }

    #[test]
    fn revisions_are_split_off() {
        let is_revision = |text: &str| text.is_empty() || text.bytes().all(|byte| byte.is_ascii_digit());
        for (given, address, revision) in [
            ("https://ann:pw@host/x/trunk@12", "https://host/x/trunk", Some("12")),
            ("https://host/x/icon@2x", "https://host/x/icon@2x", None),
            ("https://host/x/icon@2@", "https://host/x/icon@2", Some("")),
            ("svn+ssh://ann@12", "svn+ssh://ann@12", None),
            ("svn://ann@12/x", "svn://12/x", None),
            ("https://host/a@12/x", "https://host/a@12/x", None),
            ("/srv/x@7", "/srv/x", Some("7")),
            ("../x@7", "../x", Some("7")),
            ("file:///srv/x@7", "file:///srv/x", Some("7")),
        ] {
            let given = url(given);
            let (address_of, revision_of) = given.split_revision(is_revision);
            assert_eq!((address_of.to_string().as_str(), revision_of), (address, revision), "{given}");
        }
        assert!(url("https://ann:pw@host/x").without_login().secrets().is_empty());
    }

    #[test]
    fn logins_belong_to_a_host() {
        let url = url("https://ann:p%40ss@host:8443/x");
        assert_eq!(url.login_scope(), Some("https://host:8443"));
        assert_eq!(url.login(), Some(Login::Pair { user: "ann".into(), password: "p@ss".into() }));
        assert_eq!("https://ann@host/x".parse::<Url>().unwrap().login(), Some(Login::Name("ann".into())));
        assert_eq!("ssh://git@host/x".parse::<Url>().unwrap().login_scope(), None);
        let asked = url.with_query("a=b").unwrap();
        assert_eq!((asked.to_string().as_str(), asked.login()), ("https://host:8443/x?a=b", url.login()));
        assert!(
            asked.with_query("c=d").is_none() && "/srv/x".parse::<Url>().unwrap().with_query("a=b").is_none()
        );
    }

    proptest! {
        #[test]
        fn no_password_is_ever_shown(user in "[a-z]{0,5}", password in "[A-Z%@:!$&]{4,12}", rest in "[a-z./]{0,9}") {
            for text in [format!("https://{user}:{password}@host/{rest}"), format!("ssh://{user}:{password}@host/{rest}")] {
                let url = url(&text);
                prop_assert!(!url.to_string().contains(&password));
                prop_assert!(!url.address(Path::new("/"), None).to_string_lossy().contains(&password));
                prop_assert!(url.secrets().contains(&password));
            }
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in any::<String>()) {
            if let Ok(url) = text.parse::<Url>() {
                prop_assert!(!url.basename().is_empty());
            }
        }
    }
}
