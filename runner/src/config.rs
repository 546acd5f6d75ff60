//! `config.yaml` of the home: settings for all recipes on this machine. Read once, at the start.

use std::{fmt, fs, io, path::PathBuf, str::FromStr, time::Duration};

use bytesize::ByteSize;
use indexmap::IndexMap;
use pony_contexts::Network;
use pony_wire::{Dialect, ErrorMessage};
use serde::{Deserialize, Deserializer, de};

use crate::{
    home::Home,
    notify::settings::Notify,
    recipe::{did_you_mean, duration, explain_yaml, quoted},
    retained,
    server::{
        login::{Configured, Secret},
        registry::Entry,
    },
};

/// The whole file. Missing keys are as in [`Config::default`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case", expecting = "a map")]
pub struct Config {
    /// Sources, and outputs of builds.
    #[serde(deserialize_with = "or_default")]
    pub cache: CacheLimits,
    /// Trees of failed runs.
    #[serde(deserialize_with = "or_default")]
    pub kept: RetainedLimits,
    /// For sources, not for servers.
    #[serde(deserialize_with = "or_default")]
    pub network: NetworkSettings,
    /// Named servers.
    #[serde(deserialize_with = "or_default")]
    pub(crate) servers: IndexMap<String, NamedServer>,
    /// Time limits for sending results.
    #[serde(deserialize_with = "or_default")]
    pub delivery: DeliverySettings,
    /// Recipients of `pony-run notify`.
    #[serde(deserialize_with = "or_default")]
    pub(crate) notify: Notify,
    /// `--if-needed` builds again this long after a failure that was not the code's.
    pub retry_after: RetryAfter,
}

/// `cache`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map")]
pub struct CacheLimits {
    /// After a run, least recently used entries are removed until the cache fits.
    #[serde(deserialize_with = "read_size")]
    pub size: ByteSize,
}

/// `kept`: trees of runs that are retained for inspection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map")]
pub struct RetainedLimits {
    /// At most so many trees.
    #[serde(deserialize_with = "read_count")]
    pub count: usize,
    /// Older ones are removed.
    #[serde(deserialize_with = "read_duration")]
    pub age: Duration,
    /// Of all trees together.
    #[serde(deserialize_with = "read_size")]
    pub size: ByteSize,
}

impl RetainedLimits {
    /// As numbers.
    pub fn limits(&self) -> retained::Limits {
        retained::Limits { count: self.count, age: self.age, bytes: self.size.as_u64() }
    }
}

/// `network`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map")]
pub struct NetworkSettings {
    /// Give up on a peer after this much silence.
    #[serde(deserialize_with = "read_duration")]
    pub silence: Duration,
    /// Delays between retries.
    #[serde(deserialize_with = "read_durations")]
    pub waits: Vec<Duration>,
}

/// An entry of `servers`: an address, or a map with `url` and more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedServer(pub(crate) Entry);

/// `delivery`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map")]
pub struct DeliverySettings {
    /// Time limit for the delivery of a result, without its files.
    #[serde(deserialize_with = "read_duration")]
    pub timeout: Duration,
    /// Time limit for its files.
    #[serde(deserialize_with = "read_duration")]
    pub uploads: Duration,
    /// Give up on a server that accepts no data of a file for this long.
    #[serde(deserialize_with = "read_duration")]
    pub silence: Duration,
    /// Time limit for waiting results of earlier runs, after those of this run.
    #[serde(deserialize_with = "read_duration")]
    pub waiting: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map")]
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
        struct AddressOrMap;
        impl<'de> de::Visitor<'de> for AddressOrMap {
            type Value = NamedServer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or a map with `url`")
            }

            fn visit_str<E: de::Error>(self, url: &str) -> Result<NamedServer, E> {
                let url = url.to_owned();
                Ok(NamedServer(Entry { url, login: Configured::default(), dialect: None, cacert: None }))
            }

            // Read as a map right away, so that errors in it have their own position.
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<NamedServer, A::Error> {
                let ServerMap { url, user, password, password_command, dialect, cacert } =
                    ServerMap::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let login = Configured { user, password: password.map(Secret), command: password_command };
                Ok(NamedServer(Entry { url, login, dialect, cacert }))
            }
        }
        from.deserialize_any(AddressOrMap)
    }
}

/// `retry-after`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct RetryAfter(#[serde(deserialize_with = "read_duration")] pub Duration);

impl Default for CacheLimits {
    fn default() -> Self {
        Self { size: ByteSize::gb(20) }
    }
}

impl Default for RetainedLimits {
    fn default() -> Self {
        Self { count: 10, age: Duration::from_hours(14 * 24), size: ByteSize::gb(20) }
    }
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self { silence: Duration::from_mins(5), waits: vec![Duration::from_secs(2), Duration::from_secs(8)] }
    }
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(2),
            uploads: Duration::from_mins(30),
            silence: Duration::from_mins(1),
            waiting: Duration::from_secs(30),
        }
    }
}

impl Default for RetryAfter {
    fn default() -> Self {
        Self(Duration::from_hours(1))
    }
}

impl NetworkSettings {
    /// For contexts.
    pub fn network(&self, offline: bool) -> Network {
        Network { offline, retry_delays: self.waits.clone(), quiet_timeout: self.silence }
    }
}

impl Config {
    /// Reads the home's configuration; a missing file is the same as an empty one.
    ///
    /// # Errors
    /// A file that cannot be read, or with an error in it.
    pub fn load(home: &Home) -> Result<Self, ErrorMessage> {
        let path = home.config();
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map_err(|error| {
                let cause = std::iter::once(error.what).chain(error.causes);
                let what = format!("{} has an error", quoted(&path.display().to_string()));
                ErrorMessage { what, causes: cause.collect(), hint: error.hint }
            }),
            // A home that is not a folder is reported when something is written to it.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Self::default())
            }
            Err(error) => {
                let what = format!("cannot read {}", quoted(&path.display().to_string()));
                Err(ErrorMessage { causes: vec![error.to_string()], ..ErrorMessage::new(what) })
            }
        }
    }

    /// # Errors
    /// The first error, with its line, but without the text of the line: it may contain a password.
    pub fn parse(text: &str) -> Result<Self, ErrorMessage> {
        let options = serde_saphyr::options! { with_snippet: false };
        let config: Option<Self> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(&error, text))?;
        Ok(config.unwrap_or_default())
    }
}

fn explain(error: &serde_saphyr::Error, text: &str) -> ErrorMessage {
    use serde_saphyr::Error;
    let (what, hint) = match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let all = || expected.iter().map(|key| quoted(key)).collect::<Vec<_>>().join(", ");
            let hint = did_you_mean(field, expected.iter().copied());
            (
                format!("unknown key {}", quoted(field)),
                Some(hint.unwrap_or_else(|| format!("possible keys: {}", all()))),
            )
        }
        Error::SerdeMissingField { field, .. } => (format!("`{field}` is missing"), None),
        Error::DuplicateMappingKey { key, .. } => {
            let key =
                key.as_deref().map_or_else(|| "a key".to_owned(), |key| format!("the key {}", quoted(key)));
            (format!("{key} is given twice"), Some("remove one of them".to_owned()))
        }
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            (format!("expected {expected}"), None)
        }
        Error::Message { msg, .. } => (msg.clone(), None),
        // The parser's names for what begins.
        Error::Unexpected { expected: "mapping start", .. } => ("expected a map".to_owned(), None),
        Error::Unexpected { expected: "sequence start", .. } => ("expected a list".to_owned(), None),
        Error::Unexpected { .. } => ("expected text".to_owned(), None),
        error => {
            let explained = explain_yaml(error, text);
            (explained.message, explained.hint)
        }
    };
    let what = match error.location() {
        Some(place) => format!("line {}, column {}: {what}", place.line(), place.column()),
        None => what,
    };
    ErrorMessage { hint, ..ErrorMessage::new(what) }
}

/// A key without a value is the same as a missing key.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Text or a number, as text.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnyScalar;
        impl de::Visitor<'_> for AnyScalar {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a number")
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
        }
        from.deserialize_any(AnyScalar)
    }
}

impl Scalar {
    fn parse<T: FromStr, E: de::Error>(&self, expected: &str) -> Result<T, E> {
        let Self(text) = self;
        text.parse().map_err(|_| E::custom(format_args!("{} is not {expected}", quoted(text))))
    }

    fn duration<E: de::Error>(&self) -> Result<Duration, E> {
        let Self(text) = self;
        duration::parse(text)
            .map_err(|wrong| E::custom(format_args!("{} {wrong}; {}", quoted(text), duration::HINT)))
    }
}

fn read_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    Scalar::deserialize(from)?.duration()
}

fn read_durations<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Duration>, D::Error> {
    const MAX: usize = 20;
    let waits: Vec<Scalar> = Vec::deserialize(from)?;
    if waits.len() > MAX {
        return Err(de::Error::custom(format_args!("more than {MAX} retries")));
    }
    waits.iter().map(Scalar::duration).collect()
}

fn read_size<'de, D: Deserializer<'de>>(from: D) -> Result<ByteSize, D::Error> {
    Scalar::deserialize(from)?.parse("a size; write it like `500MB` or `20GB`")
}

fn read_count<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    Scalar::deserialize(from)?.parse("a whole number")
}

/// YAML reads `2010` as a number.
fn read_dialect<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Dialect>, D::Error> {
    Scalar::deserialize(from)?.0.parse().map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_keys_have_their_defaults() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
        assert_eq!(Config::parse("# nothing\n").unwrap(), Config::default());
        assert_eq!(Config::parse("cache:\n#  size: 1GB\nkept:\n").unwrap(), Config::default());
        let text = "cache: {size: 5 GB}\nkept: {count: 2, age: 3d}\nnetwork: {waits: [1s, 0.5], silence: 30}\nretry-after: 10m\n";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.cache.size, ByteSize::gb(5));
        assert_eq!((config.kept.count, config.kept.age), (2, Duration::from_hours(72)));
        assert_eq!(config.kept.size, RetainedLimits::default().size);
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
    fn errors_name_their_line_and_speak_plainly() {
        let error = |text: &str| {
            let ErrorMessage { what, hint, .. } = Config::parse(text).unwrap_err();
            hint.map_or(what.clone(), |hint| format!("{what} | {hint}"))
        };
        for (text, expected) in [
            ("cahce: {size: 5 GB}", "line 1, column 1: unknown key `cahce` | did you mean `cache`?"),
            (
                "x: 1",
                "line 1, column 1: unknown key `x` | possible keys: `cache`, `kept`, `network`, `servers`, `delivery`, `notify`, `retry-after`",
            ),
            ("kept:\n  count: many\n", "line 2, column 10: `many` is not a whole number"),
            ("kept:\n  count: -1\n", "line 2, column 10: `-1` is not a whole number"),
            (
                "kept:\n  age: soon\n",
                "line 2, column 8: `soon` is not a duration; write it like `90s`, `20m`, `4h` or `1h 30m`; a plain number is seconds",
            ),
            ("kept:\n  age: [1]\n", "line 2, column 3: expected text or a number"),
            ("cache: {size: big}", "line 1, column 15: `big` is not a size; write it like `500MB` or `20GB`"),
            ("cache: 5", "line 1, column 8: expected a map"),
            ("network: {waits: 2s}", "line 1, column 18: expected a list"),
            ("cache: [", "line 1, column 8: expected a map"),
            (
                "delivery:\n  silence: 1m\n  silence: 1m\n",
                "line 3, column 3: the key `silence` is given twice | remove one of them",
            ),
            (
                "servers: {a: {url: 'http://a/', pasword: x}}",
                "line 1, column 33: unknown key `pasword` | did you mean `password`?",
            ),
            ("servers: {a: {user: x}}", "line 1, column 15: `url` is missing"),
            ("servers: {a: [x]}", "line 1, column 11: expected an address, or a map with `url`"),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
        for (text, part) in [
            ("servers: {a: {url: 'http://a/', dialect: 2011}}", "`2011`"),
            ("notify: {mail: {to: [ann], sendmail: true}}", "`ann`"),
            ("notify: {hook: 'http://a/'}", "unknown key `hook`"),
        ] {
            assert!(error(text).contains(part), "{}", error(text));
        }
    }

    #[test]
    fn errors_do_not_show_passwords() {
        let error = Config::parse("servers: {a: {url: 'http://a/', password: hunter2, x: 1}}").unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
