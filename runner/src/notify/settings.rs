//! Recipients of notifications, in `config.yaml` and on the command line.

use std::{fmt, str::FromStr};

use lettre::message::Mailbox;
use reqwest::Url;
use serde::{
    Deserialize, Deserializer,
    de::{self, Error as _},
};

use crate::server::login::Secret;

/// `notify`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Notify {
    /// Who gets mail.
    pub(crate) mail: Option<Mail>,
    /// Where messages are posted to, as JSON.
    pub(crate) webhook: Option<Webhook>,
}

/// `notify.mail`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    /// The sender; of this machine if not given.
    pub(crate) from: Option<Mailbox>,
    pub(crate) to: Vec<Mailbox>,
    /// By what.
    pub(crate) by: Post,
}

/// What carries mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Post {
    /// The program `sendmail` of this machine.
    Sendmail,
    /// A server.
    Smtp(Smtp),
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Smtp {
    /// Its name.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// `smtps`: TLS from the first byte on.
    pub(crate) is_tls: bool,
    pub(crate) user: Option<String>,
    /// With what.
    pub(crate) password: Option<Secret>,
    /// Or with what this command prints.
    pub(crate) command: Vec<String>,
}

/// Where messages are posted to. Whoever knows the address may post: it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Webhook(Url);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct MailMap {
    from: Option<String>,
    to: Vec<String>,
    smtp: Option<String>,
    sendmail: Option<bool>,
    password: Option<String>,
    #[serde(default)]
    password_command: Vec<String>,
}

/// A text that is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingError {
    /// Of a person.
    #[error("`{0}` is no mail address ({1}); write it like `ann@example.org` or `Ann <ann@example.org>`")]
    Mailbox(String, String),
    /// Of a mail server.
    #[error(
        "that is no mail server ({0}); write it like `smtp://user@mail.example.org:587` or `smtps://user@mail.example.org`"
    )]
    Smtp(String),
    /// Of a webhook.
    #[error("that is no address to post to ({0}); write it like `https://chat.example.org/hooks/…`")]
    Webhook(String),
}

/// A person's address.
pub(crate) fn mailbox(text: &str) -> Result<Mailbox, SettingError> {
    text.parse().map_err(|error: lettre::address::AddressError| {
        SettingError::Mailbox(text.to_owned(), error.to_string())
    })
}

impl FromStr for Smtp {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let url = Url::parse(text).map_err(|error| SettingError::Smtp(error.to_string()))?;
        let is_tls = match url.scheme() {
            "smtp" => false,
            "smtps" => true,
            other => return Err(SettingError::Smtp(format!("`{other}` is not `smtp` or `smtps`"))),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| SettingError::Smtp("it has no host".to_owned()))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(SettingError::Smtp("nothing comes after the host and its port".to_owned()));
        }
        let decoded =
            |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = Some(decoded(url.username())).filter(|user| !user.is_empty());
        let port = match (url.port(), is_tls, &user) {
            (Some(port), ..) => port,
            (None, true, _) => 465,
            (None, false, Some(_)) => 587,
            (None, false, None) => 25,
        };
        let password = url.password().map(|password| Secret(decoded(password)));
        Ok(Self { host: host.to_owned(), port, is_tls, user, password, command: Vec::new() })
    }
}

impl FromStr for Webhook {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let url = Url::parse(text).map_err(|error| SettingError::Webhook(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SettingError::Webhook(format!("`{}` is not `http` or `https`", url.scheme())));
        }
        Ok(Self(url))
    }
}

impl Webhook {
    /// Where.
    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    /// Which machine it is on: all of it that is shown.
    pub(crate) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({})", self.host())
    }
}

impl<'de> Deserialize<'de> for Webhook {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Mail {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> de::Visitor<'de> for Map {
            type Value = Mail;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map with `to`, and `smtp` or `sendmail`")
            }

            // Read as a map at once, so that errors in it have their own position.
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Mail, A::Error> {
                let map = MailMap::deserialize(de::value::MapAccessDeserializer::new(map))?;
                mail(map).map_err(A::Error::custom)
            }
        }
        from.deserialize_map(Map)
    }
}

fn mail(map: MailMap) -> Result<Mail, String> {
    let MailMap { from, to, smtp, sendmail, password, password_command: command } = map;
    let all = |list: Vec<String>| list.iter().map(|text| mailbox(text)).collect::<Result<Vec<_>, _>>();
    let words = |error: SettingError| error.to_string();
    if to.is_empty() {
        return Err("`to` is empty".to_owned());
    }
    let by = match (smtp, sendmail.unwrap_or(false)) {
        (Some(_), true) => return Err("either `smtp` or `sendmail` carries mail, not both".to_owned()),
        (Some(smtp), false) => {
            let mut smtp: Smtp = smtp.parse().map_err(words)?;
            if smtp.user.is_none() && (password.is_some() || !command.is_empty()) {
                return Err("a password is for a user: `smtp://user@…`".to_owned());
            }
            smtp.password = password.map(Secret).or(smtp.password);
            Post::Smtp(Smtp { command, ..smtp })
        }
        (None, _) if password.is_some() || !command.is_empty() => {
            return Err("a password is for `smtp`, and `sendmail` takes none".to_owned());
        }
        (None, true) => Post::Sendmail,
        (None, false) => {
            return Err("what carries mail is missing: `smtp: smtp://…` or `sendmail: true`".to_owned());
        }
    };
    let from = from.map(|from| mailbox(&from)).transpose().map_err(words)?;
    Ok(Mail { from, to: all(to).map_err(words)?, by })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Notify, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn mail_goes_by_a_server_or_by_sendmail() {
        let text = "mail: {from: Pony <pony@x.org>, to: [ann@x.org], smtp: 'smtp://me%40x.org@mail.x.org', password-command: [pass, mail]}";
        let mail = parse(text).unwrap().mail.unwrap();
        let Post::Smtp(smtp) = &mail.by else { panic!("{mail:?}") };
        assert_eq!(
            (smtp.host.as_str(), smtp.port, smtp.user.as_deref()),
            ("mail.x.org", 587, Some("me@x.org"))
        );
        assert_eq!(smtp.command, ["pass", "mail"]);
        assert_eq!(parse("mail: {to: [a@x.org], sendmail: true}").unwrap().mail.unwrap().by, Post::Sendmail);
        let port = |text: &str| text.parse::<Smtp>().unwrap().port;
        assert_eq!([port("smtp://a"), port("smtps://a"), port("smtp://a:2525/")], [25, 465, 2525]);
        assert_eq!(parse("").unwrap_or_default(), Notify::default());
    }

    #[test]
    fn what_is_wrong_is_said_with_the_way_out() {
        for (text, words) in [
            ("mail: {to: [ann], sendmail: true}", "`ann` is no mail address"),
            ("mail: {to: [], sendmail: true}", "`to` is empty"),
            ("mail: {to: [a@x.org]}", "`smtp: smtp://…` or `sendmail: true`"),
            ("mail: {to: [a@x.org], smtp: 'smtp://a', sendmail: true}", "not both"),
            ("mail: {to: [a@x.org], smtp: 'http://a'}", "`http` is not `smtp` or `smtps`"),
            ("mail: {to: [a@x.org], smtp: 'smtp://a/x'}", "nothing comes after"),
            ("mail: {to: [a@x.org], smtp: 'smtp://a', password: x}", "smtp://user@"),
            ("mail: {to: [a@x.org], sendmail: true, password: x}", "`sendmail` takes none"),
            ("mail: {to: [a@x.org], sendmale: true}", "sendmale"),
            ("webhook: ftp://x/", "`ftp` is not `http` or `https`"),
            ("web-hook: http://x/", "web-hook"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn nothing_shows_a_secret() {
        let text = "mail: {to: [a@x.org], smtp: 'smtp://u@a', password: hunter2}\nwebhook: http://x/hunter2";
        let shown = format!("{:?}", parse(text).unwrap());
        assert!(!shown.contains("hunter2") && shown.contains("Webhook(x)"), "{shown}");
    }
}
