//! Mail: a message as RFC 5322 has it, and its way by SMTP or `sendmail`.
#![expect(clippy::disallowed_methods, reason = "sendmail reads a file")]

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    path::Path,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox, SinglePart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
        extension::ClientId,
    },
};

use super::{
    message,
    settings::{Mail, Post, Smtp},
};
use crate::{
    process::{captured::ask, spawn::Spec},
    server::login::{Secret, Sources},
};

/// The longest that a message may take on its way.
const LIMIT: Duration = Duration::from_mins(2);
/// Where `sendmail` is besides `PATH`: cron's does not have it.
const SENDMAIL_PLACES: &str = "/usr/sbin:/usr/lib";

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MailError {
    /// It cannot be written.
    #[error("it cannot be written as mail: {0}")]
    Message(#[from] lettre::error::Error),
    /// The mail server will not have it.
    #[error("{host} did not take it: {error}")]
    Smtp {
        /// Which.
        host: String,
        /// Why.
        error: lettre::transport::smtp::Error,
    },
    /// The password is not to be had.
    #[error("{0}")]
    Login(#[from] crate::server::error::CallError),
    /// A mail server took too long.
    #[error("{host} did not take it within {} s", LIMIT.as_secs())]
    Timeout {
        /// Which.
        host: String,
    },
    /// `sendmail` could not be given the message.
    #[error("it could not be handed to sendmail: {0}")]
    File(#[from] std::io::Error),
    /// `sendmail` will not have it.
    #[error("sendmail ended with {status}: {words}")]
    Sendmail {
        /// How it ended.
        status: i64,
        /// What it said.
        words: String,
    },
}

/// What is known of this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here<'h> {
    /// Its name.
    pub(crate) host: &'h str,
    /// Where a message may lie for `sendmail`.
    pub(crate) folder: &'h Path,
    /// What commands see.
    pub(crate) sources: &'h Sources,
}

/// The message as it is sent. `id` is known to no other one. Pure.
pub(crate) fn compose(
    mail: &Mail,
    host: &str,
    message: &message::Message,
    id: &str,
    now: Timestamp,
) -> Result<Message, MailError> {
    let host = domain(host);
    let from = mail.from.clone().map_or_else(|| format!("pony-run@{host}").parse::<Mailbox>(), Ok);
    let from = from.map_err(|_| lettre::error::Error::MissingFrom)?;
    let date = SystemTime::try_from(now).map_err(io::Error::other).map_err(lettre::error::Error::Io)?;
    let builder = mail.to.iter().fold(Message::builder().from(from), |builder, to| builder.to(to.clone()));
    let message = builder
        .date(date)
        .message_id(Some(format!("<{id}@{host}>")))
        .subject(&message.subject)
        // RFC 3834: no automatic answers.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .singlepart(SinglePart::plain(message.body.clone()))?;
    Ok(message)
}

/// A name that may stand behind an `@`.
fn domain(host: &str) -> String {
    let plain: String =
        host.chars().map(|c| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '-' }).collect();
    let plain = plain.trim_matches(['.', '-']);
    if plain.is_empty() { "localhost".to_owned() } else { plain.to_owned() }
}

/// Sends it.
pub(crate) async fn send(mail: &Mail, message: Message, here: Here<'_>) -> Result<(), MailError> {
    match &mail.by {
        Post::Smtp(smtp) => by_smtp(smtp, message, here).await,
        Post::Sendmail => by_sendmail(&message, here).await,
    }
}

async fn by_smtp(smtp: &Smtp, message: Message, here: Here<'_>) -> Result<(), MailError> {
    let wrong = |error| MailError::Smtp { host: smtp.host.clone(), error };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
        .port(smtp.port)
        .hello_name(ClientId::Domain(domain(here.host)))
        .tls(tls(smtp).map_err(wrong)?)
        .timeout(Some(LIMIT));
    if let Some(user) = &smtp.user {
        let password = match &smtp.password {
            Some(Secret(password)) => password.clone(),
            None if smtp.command.is_empty() => String::new(),
            None => here.sources.run(&smtp.command).await?,
        };
        builder = builder.credentials(Credentials::new(user.clone(), password));
    }
    // Each command has its own limit; all together have this one.
    let sent = tokio::time::timeout(LIMIT, builder.build::<Tokio1Executor>().send(message)).await;
    let sent = sent.map_err(|_| MailError::Timeout { host: smtp.host.clone() })?;
    sent.map(drop).map_err(wrong)
}

/// How a connection is kept from others: a password never goes over one that is not, but on this machine.
fn tls(smtp: &Smtp) -> Result<Tls, lettre::transport::smtp::Error> {
    let parameters = || TlsParameters::new(smtp.host.clone());
    let is_here = smtp.host == "localhost"
        || smtp.host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    Ok(match (smtp.is_tls, &smtp.user) {
        (true, _) => Tls::Wrapper(parameters()?),
        (false, _) if is_here => Tls::None,
        (false, Some(_)) => Tls::Required(parameters()?),
        (false, None) => Tls::Opportunistic(parameters()?),
    })
}

async fn by_sendmail(message: &Message, here: Here<'_>) -> Result<(), MailError> {
    let mut file = tempfile::NamedTempFile::new_in(here.folder)?;
    file.write_all(&message.formatted())?;
    file.flush()?;
    let envelope = message.envelope();
    let to = envelope.to().iter().map(ToString::to_string);
    let from = envelope.from().map(ToString::to_string);
    // A child's stdin is closed; the shell opens it.
    let mut argv: Vec<OsString> =
        ["sh", "-c", r#"exec "$@" <"$PONY_MESSAGE""#, "sh", "sendmail", "-i"].map(OsString::from).to_vec();
    argv.extend(from.into_iter().flat_map(|from| ["-f".into(), from.into()]));
    argv.push("--".into());
    argv.extend(to.map(OsString::from));
    let mut env = here.sources.environment.clone();
    env.insert("PONY_MESSAGE".into(), file.path().into());
    let mut path = env.remove(&OsString::from("PATH")).unwrap_or_else(|| "/usr/bin:/bin".into());
    path.push(":");
    path.push(SENDMAIL_PLACES);
    env.insert("PATH".into(), path);
    let ended = ask(&Spec { argv, cwd: "/".into(), env }, LIMIT).await;
    if ended.status == 0 {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let words = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("no message").to_owned();
    Err(MailError::Sendmail { status: ended.status, words })
}

/// Removes messages for `sendmail` that a kill has left behind.
pub(crate) fn cleanup(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_name().as_encoded_bytes().starts_with(b".tmp") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::settings::mailbox;

    #[test]
    fn a_message_is_plain_text_that_every_mail_server_takes() {
        let mail = Mail {
            from: None,
            to: vec![mailbox("Ann <ann@example.org>").unwrap(), mailbox("bob@example.org").unwrap()],
            by: Post::Sendmail,
        };
        let message = message::Message {
            subject: "[pony] naïve is red".to_owned(),
            body: format!("ein ☃\n.\nFrom here\n{}\n", "x".repeat(3000)),
            json: serde_json::Value::Null,
        };
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let sent = compose(&mail, "build_er 1.lan", &message, "abc", now).unwrap();
        let text = String::from_utf8(sent.formatted()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        for line in [
            "From: pony-run@build-er-1.lan",
            "To: Ann <ann@example.org>, bob@example.org",
            "Date: Fri, 15 Jan 2027 08:00:00 +0000",
            "Message-ID: <abc@build-er-1.lan>",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
            "MIME-Version: 1.0",
        ] {
            assert!(head.contains(line), "{line} in {head}");
        }
        assert!(text.is_ascii() && head.contains("Subject: [pony] =?utf-8?b?"), "{head}");
        assert!(body.lines().all(|line| line.len() <= 78), "{body}");
        // Whoever could put a line end into a name could add headers.
        assert!(mailbox("a@x.org\r\nBcc: b@x.org").is_err());
    }

    #[test]
    fn a_password_goes_over_no_open_line_but_on_this_machine() {
        let kind = |url: &str| match tls(&url.parse().unwrap()).unwrap() {
            Tls::None => "none",
            Tls::Opportunistic(_) => "perhaps",
            Tls::Required(_) => "required",
            Tls::Wrapper(_) => "wrapper",
        };
        assert_eq!(kind("smtp://mail.example.org"), "perhaps");
        assert_eq!(kind("smtp://u@mail.example.org"), "required");
        assert_eq!(kind("smtps://u@mail.example.org"), "wrapper");
        assert_eq!((kind("smtp://u@127.0.0.1:25"), kind("smtp://u@localhost")), ("none", "none"));
    }
}
