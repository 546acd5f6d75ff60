//! `config.yaml` of the home: what holds for all recipes on this machine. Read once, at the start.

use std::{fmt, fs, io, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use indexmap::IndexMap;
use pony_contexts::Network;
use pony_wire::Dialect;
use serde::{
    Deserialize, Deserializer,
    de::{self, Error as _},
};

use crate::{
    home::Home,
    notify::settings::Notify,
    recipe::duration,
    server::{
        login::{Configured, Secret},
        registry::Entry,
    },
};

/// All of it; what the file does not say is as in [`Config::default`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// The cache of sources.
    #[serde(deserialize_with = "or_usual")]
    pub cache: Cache,
    /// Trees that are kept to be looked at.
    #[serde(deserialize_with = "or_usual")]
    pub kept: Kept,
    /// What lies beyond this machine.
    #[serde(deserialize_with = "or_usual")]
    pub network: Net,
    /// Servers that have a name.
    #[serde(deserialize_with = "or_usual")]
    pub servers: IndexMap<String, NamedServer>,
    /// How results are brought to servers.
    #[serde(deserialize_with = "or_usual")]
    pub delivery: Delivery,
    /// Who is told of what turned red or green.
    #[serde(deserialize_with = "or_usual")]
    pub notify: Notify,
    /// `--if-needed` builds again after a failure that was not the code's.
    pub retry_after: After,
}

/// `cache`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// More than this is removed after a run, what was not used for longest first.
    pub size: ByteSize,
}

/// `kept`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kept {
    /// No more trees than this are kept.
    pub count: usize,
    /// None is kept for longer.
    #[serde(deserialize_with = "read_duration")]
    pub age: Duration,
    /// Nor more bytes of them in all.
    pub size: ByteSize,
}

/// `network`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Net {
    /// Who says nothing for so long is taken for dead.
    #[serde(deserialize_with = "read_duration")]
    pub silence: Duration,
    /// How long to wait before each further try.
    #[serde(deserialize_with = "read_durations")]
    pub waits: Vec<Duration>,
}

/// An entry of `servers`: an address, or a map with `url` and more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedServer(pub Entry);

/// `delivery`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Delivery {
    /// The longest that the delivery of a result may take, without its files.
    #[serde(deserialize_with = "read_duration")]
    pub timeout: Duration,
    /// The longest that its files may take.
    #[serde(deserialize_with = "read_duration")]
    pub uploads: Duration,
    /// A server that takes nothing of a file for so long is taken for dead.
    #[serde(deserialize_with = "read_duration")]
    pub silence: Duration,
    /// How long results of earlier runs that wait are tried after those of this one.
    #[serde(deserialize_with = "read_duration")]
    pub waiting: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ServerMap {
    url: String,
    user: Option<String>,
    password: Option<String>,
    #[serde(default)]
    password_command: Vec<String>,
    #[serde(default, deserialize_with = "read_dialect")]
    dialect: Option<Dialect>,
    cacert: Option<PathBuf>,
}

impl<'de> Deserialize<'de> for NamedServer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = NamedServer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or a map with `url` and more")
            }

            fn visit_str<E: de::Error>(self, url: &str) -> Result<NamedServer, E> {
                let url = url.to_owned();
                Ok(NamedServer(Entry { url, login: Configured::default(), dialect: None, cacert: None }))
            }

            // Read as a map at once, so that what is wrong in it is told with its own place.
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<NamedServer, A::Error> {
                let ServerMap { url, user, password, password_command, dialect, cacert } =
                    ServerMap::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let login = Configured { user, password: password.map(Secret), command: password_command };
                Ok(NamedServer(Entry { url, login, dialect, cacert }))
            }
        }
        from.deserialize_any(Either)
    }
}

/// A time that passes before something is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct After(#[serde(deserialize_with = "read_duration")] pub Duration);

impl Default for Cache {
    fn default() -> Self {
        Self { size: ByteSize::gb(20) }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self { count: 10, age: Duration::from_hours(14 * 24), size: ByteSize::gb(20) }
    }
}

impl Default for Net {
    fn default() -> Self {
        Self { silence: Duration::from_mins(5), waits: vec![Duration::from_secs(2), Duration::from_secs(8)] }
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(2),
            uploads: Duration::from_mins(30),
            silence: Duration::from_mins(1),
            waiting: Duration::from_secs(30),
        }
    }
}

impl Default for After {
    fn default() -> Self {
        Self(Duration::from_hours(1))
    }
}

impl Net {
    /// For contexts.
    pub fn network(&self, offline: bool) -> Network {
        Network { offline, waits: self.waits.clone(), silence: self.silence }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it is wrong.
    #[error("`{}` is wrong: {what}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// Where and why.
        what: String,
    },
}

impl Config {
    /// Reads the home's configuration; none is as good as an empty one.
    pub fn load(home: &Home) -> Result<Self, ConfigError> {
        let path = home.config();
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map_err(|what| ConfigError::Content { path, what }),
            // That a home is no folder is told when it is to be written to.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Self::default())
            }
            Err(source) => Err(ConfigError::Read { path, source }),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Option<Self> = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        Ok(config.unwrap_or_default())
    }
}

/// A key with nothing after it is one that was left out.
fn or_usual<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A scalar as it is written.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Text(String),
}

impl Written {
    fn duration<E: serde::de::Error>(self) -> Result<Duration, E> {
        let text = match self {
            Self::Number(seconds) => seconds.to_string(),
            Self::Text(text) => text,
        };
        duration::parse(&text)
            .map_err(|wrong| E::custom(format_args!("`{text}` {wrong}; {}", duration::HELP)))
    }
}

fn read_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    Written::deserialize(from)?.duration()
}

/// `2010` is a number to YAML.
fn read_dialect<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Dialect>, D::Error> {
    let word = match Written::deserialize(from)? {
        Written::Number(year) => year.to_string(),
        Written::Text(word) => word,
    };
    word.parse().map(Some).map_err(D::Error::custom)
}

fn read_durations<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Duration>, D::Error> {
    const MOST: usize = 20;
    let waits: Vec<Written> = Vec::deserialize(from)?;
    if waits.len() > MOST {
        return Err(D::Error::custom(format_args!("no more than {MOST} tries")));
    }
    waits.into_iter().map(Written::duration).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_usual() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
        assert_eq!(Config::parse("# nothing\n").unwrap(), Config::default());
        assert_eq!(Config::parse("cache:\n#  size: 1GB\nkept:\n").unwrap(), Config::default());
        let text = "cache: {size: 5 GB}\nkept: {count: 2, age: 3d}\nnetwork: {waits: [1s, 0.5], silence: 30}\nretry-after: 10m\n";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.cache.size, ByteSize::gb(5));
        assert_eq!((config.kept.count, config.kept.age), (2, Duration::from_hours(72)));
        assert_eq!(config.kept.size, Kept::default().size);
        assert_eq!(config.network.waits, [Duration::from_secs(1), Duration::from_millis(500)]);
        assert_eq!(config.network.silence, Duration::from_secs(30));
        assert_eq!(config.retry_after.0, Duration::from_mins(10));
        assert_eq!(Config::parse("network: {waits: []}").unwrap().network.waits, []);
    }

    #[test]
    fn a_server_is_an_address_or_a_map() {
        let text = "servers:\n  dev: https://pb.example/\n  lab: {url: 'http://lab/', dialect: 2010, user: u, password-command: [pass, show, lab]}\n";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.servers["dev"].0.url, "https://pb.example/");
        let lab = &config.servers["lab"].0;
        assert_eq!((lab.dialect, lab.login.user.as_deref()), (Some(Dialect::V2010), Some("u")));
        assert_eq!(lab.login.command, ["pass", "show", "lab"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, words) in [
            ("cahce: {size: 5 GB}", ["cahce", "1"]),
            ("kept:\n  count: many\n", ["count", "2"]),
            ("kept:\n  age: soon\n", ["`soon` is not a duration", "2"]),
            ("cache: {size: big}", ["size", "1"]),
            ("cache: [", ["1", ""]),
            ("servers: {a: {url: 'http://a/', dialect: 2011}}", ["`2011` is no dialect", "1"]),
            ("servers: {a: {url: 'http://a/', pasword: x}}", ["pasword", "1"]),
            ("delivery: {waiting: soon}", ["`soon` is not a duration", "1"]),
            ("notify: {mail: {to: [ann], sendmail: true}}", ["`ann` is no mail address", "1"]),
            ("notify: {hook: 'http://a/'}", ["hook", "1"]),
        ] {
            let error = Config::parse(text).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
        }
    }
}
