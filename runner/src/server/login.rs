//! The login for a server: from its address, from `config.yaml`, from a command, or from a netrc file. What is found goes into
//! a header of the request and nowhere else.

use std::{ffi::OsString, fmt, path::PathBuf, time::Duration};

use netrc_rs::Netrc;

use super::{address::Address, error::CallError};
use crate::process::{
    captured::ask,
    spawn::{Environment, Spec},
};

/// The longest that a command for a password may take: somebody may have to touch a key.
const LIMIT: Duration = Duration::from_mins(1);

/// A user and a password. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// Who.
    pub(crate) user: String,
    /// The password or the token.
    pub(crate) password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

/// A login in `config.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Configured {
    /// `user`
    pub(crate) user: Option<String>,
    /// `password`
    pub(crate) password: Option<Secret>,
    /// `password-command`: its first line of output is the password.
    pub(crate) command: Vec<String>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where else logins are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// What commands see.
    pub(crate) environment: Environment,
    /// The netrc file: `NETRC`, else `~/.netrc`.
    pub(crate) netrc: Option<PathBuf>,
}

/// Where the login for a server comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// There is none.
    None,
    /// It stands in the address.
    Address,
    /// `password` in `config.yaml`.
    Config,
    /// `password-command` in `config.yaml`: this program.
    Command(String),
    /// This netrc file.
    Netrc(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Address => f.write_str("in its address"),
            Self::Config => f.write_str("`password` in config.yaml"),
            Self::Command(program) => write!(f, "`password-command` in config.yaml ({program})"),
            Self::Netrc(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Sources {
    /// By the environment's variables.
    pub(crate) fn of(environment: Environment) -> Self {
        let named = |name: &str| {
            environment.get(&OsString::from(name)).filter(|value| !value.is_empty()).map(PathBuf::from)
        };
        let netrc = named("NETRC").or_else(|| named("HOME").map(|home| home.join(".netrc")));
        Self { environment, netrc }
    }

    /// The login for a server, from the first of: its address, `config.yaml`, netrc.
    pub(crate) async fn find(
        &self,
        address: &Address,
        configured: &Configured,
    ) -> Result<Option<Login>, CallError> {
        let user = || configured.user.clone().unwrap_or_default();
        Ok(match self.source(address, configured)? {
            Source::None => None,
            Source::Address => address
                .credentials()
                .map(|(user, password)| Login { user: user.clone(), password: password.clone() }),
            Source::Config => {
                configured.password.clone().map(|Secret(password)| Login { user: user(), password })
            }
            Source::Command(_) => {
                Some(Login { user: user(), password: self.run(&configured.command).await? })
            }
            Source::Netrc(_) => self.netrc(address, configured)?.map(|(_, login)| login),
        })
    }

    /// Where the login for a server comes from. Runs no command.
    pub(crate) fn source(&self, address: &Address, configured: &Configured) -> Result<Source, CallError> {
        if address.credentials().is_some() {
            return Ok(Source::Address);
        }
        if configured.password.is_some() {
            return Ok(Source::Config);
        }
        if let Some(program) = configured.command.first() {
            return Ok(Source::Command(program.clone()));
        }
        Ok(self.netrc(address, configured)?.map_or(Source::None, |(path, _)| Source::Netrc(path)))
    }

    /// The first line that a command prints.
    pub(crate) async fn run(&self, command: &[String]) -> Result<String, CallError> {
        let argv: Vec<OsString> = command.iter().map(OsString::from).collect();
        let spec = Spec { argv, cwd: "/".into(), env: self.environment.clone() };
        let ended = ask(&spec, LIMIT).await;
        let said = String::from_utf8_lossy(&ended.stdout);
        let password = said.lines().next().unwrap_or_default().trim_end_matches('\r');
        if ended.status == 0 && !password.is_empty() {
            return Ok(password.to_owned());
        }
        // Not what it printed: that may be half a password.
        let program = command.first().map(String::as_str).unwrap_or_default();
        let how = match ended.status {
            0 => "printed nothing".to_owned(),
            status => format!("ended with {status}"),
        };
        Err(CallError::Login(format!("its `password-command` {program} {how}")))
    }

    fn netrc(
        &self,
        address: &Address,
        configured: &Configured,
    ) -> Result<Option<(PathBuf, Login)>, CallError> {
        let Some(path) = self.netrc.as_ref().filter(|path| path.is_file()) else { return Ok(None) };
        let wrong = |why: String| CallError::Login(format!("`{}` cannot be read: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        // Comments are an addition that the parser does not know.
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        // Its own message quotes the file.
        let netrc = Netrc::parse(text, true).map_err(|_| wrong("it is not as netrc files are".to_owned()))?;
        let of = |host: Option<&str>| netrc.machines.iter().find(|machine| machine.name.as_deref() == host);
        let found = of(Some(address.host())).or_else(|| of(None));
        let login = found.map(|known| Login {
            user: known.login.clone().unwrap_or_default(),
            password: known.password.clone().unwrap_or_default(),
        });
        let is_meant = |login: &Login| configured.user.as_ref().is_none_or(|user| *user == login.user);
        Ok(login.filter(is_meant).map(|login| (path.clone(), login)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(netrc: &str) -> (tempfile::TempDir, Sources) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netrc");
        std::fs::write(&path, netrc).unwrap();
        (dir, Sources { environment: std::env::vars_os().collect(), netrc: Some(path) })
    }

    async fn found(sources: &Sources, address: &str, configured: &Configured) -> Option<(String, String)> {
        let found = sources.find(&Address::new(address).unwrap(), configured).await.unwrap();
        found.map(|login| (login.user, login.password))
    }

    fn pair(user: &str, password: &str) -> (String, String) {
        (user.to_owned(), password.to_owned())
    }

    #[tokio::test]
    async fn the_nearest_source_decides() {
        let (_dir, sources) = sources(
            "# who\nmachine a.example login alice password secret1\nmachine b.example login bob password secret2\n",
        );
        let nothing = Configured::default();
        assert_eq!(found(&sources, "http://x:y@a.example/", &nothing).await, Some(pair("x", "y")));
        assert_eq!(found(&sources, "http://a.example:81/p/", &nothing).await, Some(pair("alice", "secret1")));
        assert_eq!(found(&sources, "http://c.example/", &nothing).await, None);
        let user = Some("carol".to_owned());
        let configured =
            Configured { user: user.clone(), password: Some(Secret("pw".into())), ..nothing.clone() };
        assert_eq!(found(&sources, "http://a.example/", &configured).await, Some(pair("carol", "pw")));
        let command = ["sh", "-c", "echo from a command; echo more"].map(str::to_owned).to_vec();
        let configured = Configured { user: user.clone(), command, ..nothing.clone() };
        assert_eq!(
            found(&sources, "http://a.example/", &configured).await,
            Some(pair("carol", "from a command"))
        );
        // A netrc entry of somebody else is not for this user.
        let configured = Configured { user, ..nothing };
        assert_eq!(found(&sources, "http://a.example/", &configured).await, None);
    }

    #[tokio::test]
    async fn a_netrc_may_have_a_default_and_be_wrong() {
        let nothing = Configured::default();
        let (_dir, some) =
            sources("machine a.example\n  login alice\n  password p#1\n\ndefault login any password pw\n");
        assert_eq!(found(&some, "http://a.example/", &nothing).await, Some(pair("alice", "p#1")));
        assert_eq!(found(&some, "http://b.example/", &nothing).await, Some(pair("any", "pw")));
        let (_dir, wrong) = sources("machine a.example login");
        let error = wrong.find(&Address::new("http://a.example/").unwrap(), &nothing).await.unwrap_err();
        assert!(error.to_string().contains("netrc` cannot be read"), "{error}");
    }

    #[tokio::test]
    async fn a_command_that_fails_is_named_and_not_quoted() {
        let (_dir, sources) = sources("");
        let command = ["sh", "-c", "echo half-a-secret; exit 3"].map(str::to_owned).to_vec();
        let configured = Configured { command, ..Configured::default() };
        let address = Address::new("http://a.example/").unwrap();
        let error = sources.find(&address, &configured).await.unwrap_err().to_string();
        assert!(error.contains("sh ended with 3") && !error.contains("half"), "{error}");
    }

    #[test]
    fn nothing_shows_a_secret() {
        let login = Login { user: "u".into(), password: "hunter2".into() };
        let configured = Configured { password: Some(Secret("hunter2".into())), ..Configured::default() };
        assert!(!format!("{login:?}{configured:?}").contains("hunter2"));
    }
}
