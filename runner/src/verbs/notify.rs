//! `pony-run notify`: looks at the last results of a package, and tells people what has turned red or green. What was told is noted
//! after it was told: a kill in between tells it once more, and never not at all.

use std::time::Duration;

use lettre::message::Mailbox;
use serde_json::{Value as Json, json};

use super::{Failure, print, querier::Querier, say, setup::cannot_record};
use crate::{
    cli::NotifyOptions,
    exit::Exit,
    notify::{
        Kind, Light, State, decide,
        mail::{self, Here},
        memory::{Memory, turn},
        message::{About, Message},
        settings::{Mail, Notify, Post, SettingError, Webhook, mailbox},
    },
    platform::Machine,
    query::{
        Full,
        ask::{Asking, Last},
    },
    server::post,
    words::plain,
};

/// The longest that posting a message may take.
const POST: Duration = Duration::from_secs(30);

/// Who is told, by one way.
enum Channel {
    Mail(Mail),
    Webhook(Webhook),
    /// For `--dry-run`, where nobody is named.
    Nobody,
}

/// Something to tell somebody.
struct News<'c> {
    channel: &'c Channel,
    memory: Memory,
    before: Option<State>,
    kind: Kind,
    /// What is to be noted once it is told.
    after: State,
}

/// What is said of a message when it is sent.
struct Sent {
    to: String,
    message: Message,
}

impl Channel {
    /// What tells those who are told apart.
    fn identity(&self) -> String {
        match self {
            Self::Mail(mail) => {
                let mut to: Vec<String> = mail.to.iter().map(|to| to.email.to_string()).collect();
                to.sort();
                format!("mail {}", to.join(" "))
            }
            Self::Webhook(webhook) => format!("webhook {}", webhook.url()),
            Self::Nobody => "nobody".to_owned(),
        }
    }

    /// For people, without secrets.
    fn words(&self) -> String {
        match self {
            Self::Mail(mail) => {
                let to: Vec<String> = mail.to.iter().map(|to| to.email.to_string()).collect();
                format!("mail to {}", to.join(", "))
            }
            Self::Webhook(webhook) => format!("webhook at {}", webhook.host()),
            Self::Nobody => "nobody".to_owned(),
        }
    }
}

/// Tells whoever has to be told.
pub(super) async fn notify(options: &NotifyOptions) -> Result<Exit, Failure> {
    let mut querier = Querier::new(&options.ask)?;
    let mut channels =
        channels(options, &querier.config.notify).map_err(|error| Failure::of(Exit::Usage, &error))?;
    if channels.is_empty() && options.dry_run {
        channels.push(Channel::Nobody);
    } else if channels.is_empty() {
        let message = "no recipients: use --mail-to, --webhook, or `notify` in config.yaml";
        return Err(Failure::new(Exit::Usage, message.to_owned()));
    }
    let server = querier.named(&options.ask)?;
    querier.home.make().map_err(cannot_record)?;
    let turn = turn(&querier.home)
        .map_err(|error| cannot_record(format!("cannot look up what was told before: {error}")))?;
    let Some(_turn) = turn else {
        say("pony-run: another pony-run notify is at it");
        return Ok(Exit::Ok);
    };
    mail::tidy(&querier.home.notify());
    let asking = querier.reach(&server).await;
    let told = match asking {
        Ok(asking) => all(&mut querier, &asking, &channels, options).await,
        Err(failure) => Err(failure),
    };
    server.close().await;
    let (sent, exit) = told?;
    if options.ask.json {
        print(&format!("{:#}", sent.iter().map(Sent::json).collect::<Json>()));
    } else if !sent.is_empty() {
        print(&sent.iter().map(|sent| sent.text(options.dry_run)).collect::<Vec<_>>().join("\n"));
    }
    Ok(exit)
}

/// Who is told: what the command line says, and where it says nothing, what the configuration does.
fn channels(options: &NotifyOptions, configured: &Notify) -> Result<Vec<Channel>, SettingError> {
    let Notify { mail, webhook } = configured.clone();
    let to = options.mail_to.iter().map(|to| mailbox(to)).collect::<Result<Vec<Mailbox>, _>>()?;
    let given = options.webhook.as_ref().filter(|url| !url.is_empty()).map(|url| url.parse()).transpose()?;
    let is_asked = !to.is_empty() || given.is_some();
    let mail = match (to.is_empty(), mail) {
        // As it goes otherwise, to somebody else.
        (false, Some(mail)) => Some(Mail { to, ..mail }),
        (false, None) => Some(Mail { from: None, to, by: Post::Sendmail }),
        (true, mail) => mail.filter(|_| !is_asked),
    };
    let webhook = given.or_else(|| webhook.filter(|_| !is_asked));
    Ok(mail.map(Channel::Mail).into_iter().chain(webhook.map(Channel::Webhook)).collect())
}

async fn all(
    querier: &mut Querier,
    asking: &Asking,
    channels: &[Channel],
    options: &NotifyOptions,
) -> Result<(Vec<Sent>, Exit), Failure> {
    let lasts = querier.last(asking, &options.slots.package, &options.slots.tags).await?;
    let (server, host) = (asking.server.name(), Machine::look().facts.host);
    let (mut all, mut exit) = (Vec::new(), Exit::Ok);
    for last in lasts {
        let news = news(querier, &server, &last, channels, options.dry_run)?;
        if news.is_empty() {
            continue;
        }
        let row = last.row.clone();
        let full = whole(querier, asking, last).await?;
        for News { channel, memory, before, kind, after } in news {
            let about =
                About { kind, row: &row, full: full.as_ref(), server: &server, before: before.as_ref() };
            let message = Message::new(about, querier.clock.wall());
            if !options.dry_run {
                let told = before.as_ref().and_then(|before| before.told);
                let id = memory.message_id(&json!([kind, row.key, told]).to_string());
                if let Err(why) = send(querier, channel, &message, &id, &host).await? {
                    say(&format!("pony-run: {} was not sent: {}", channel.words(), plain(&why)));
                    exit = exit.worst(Exit::NotDelivered);
                    continue;
                }
                memory.save(&after).map_err(|error| unremembered(&error))?;
            }
            all.push(Sent { to: channel.words(), message });
        }
    }
    Ok((all, exit))
}

/// What there is to tell of a slot. That there is nothing yet is noted.
fn news<'c>(
    querier: &Querier,
    server: &str,
    last: &Last,
    channels: &'c [Channel],
    dry: bool,
) -> Result<Vec<News<'c>>, Failure> {
    let Some(light) = Light::of(last.row.status.verdict()) else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for channel in channels {
        let memory = Memory::of(&querier.home, server, &last.row.slot, &channel.identity());
        let before = memory.load();
        let (kind, after) = decide(before.as_ref(), light, querier.clock.wall());
        match kind {
            Some(kind) => all.push(News { channel, memory, before, kind, after }),
            None if !dry && before.as_ref() != Some(&after) => {
                memory.save(&after).map_err(|error| unremembered(&error))?;
            }
            None => {}
        }
    }
    Ok(all)
}

/// All of a result, as far as the server gives it: a message without it is better than none.
async fn whole(querier: &mut Querier, asking: &Asking, last: Last) -> Result<Option<Full>, Failure> {
    let found = querier.unless_stopped(asking.all_of(last)).await?;
    Ok(found.unwrap_or_else(|error| {
        say(&format!("pony-run: {}", plain(&error.to_string())));
        None
    }))
}

/// Sends it; why not, if it was not.
async fn send(
    querier: &mut Querier,
    channel: &Channel,
    message: &Message,
    id: &str,
    host: &str,
) -> Result<Result<(), String>, Failure> {
    let now = querier.clock.wall();
    let folder = querier.home.notify();
    let sources = querier.servers.sources.clone();
    match channel {
        Channel::Mail(mail) => {
            let here = Here { host, folder: &folder, sources: &sources };
            let sending = async {
                let composed = mail::compose(mail, host, message, id, now)?;
                mail::send(mail, composed, here).await
            };
            Ok(querier.unless_stopped(sending).await?.map_err(|error| error.to_string()))
        }
        Channel::Webhook(webhook) => {
            let mut json = message.json.clone();
            json["id"] = id.into();
            let sending = post(webhook.url(), json.to_string().into(), POST);
            Ok(querier.unless_stopped(sending).await?.map_err(|error| error.to_string()))
        }
        Channel::Nobody => Ok(Ok(())),
    }
}

fn unremembered(error: &std::io::Error) -> Failure {
    cannot_record(format!("what was told cannot be noted, and is told again next time: {error}"))
}

impl Sent {
    fn json(&self) -> Json {
        let mut json = self.message.json.clone();
        json["to"] = self.to.as_str().into();
        json["subject"] = self.message.subject.as_str().into();
        json["body"] = self.message.body.as_str().into();
        json
    }

    fn text(&self, dry: bool) -> String {
        if dry {
            return format!("to: {}\nsubject: {}\n\n{}", self.to, self.message.subject, self.message.body);
        }
        format!("{}: {}", self.to, self.message.subject)
    }
}
