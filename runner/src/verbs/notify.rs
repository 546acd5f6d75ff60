//! `pony-run notify`: looks at the last results of a package, and sends messages about those that started or stopped failing.

use std::time::Duration;

use lettre::message::Mailbox;
use serde_json::{Value as Json, json};

use super::{Failure, print, querier::Querier, say, setup::cannot_record};
use crate::{
    cli::NotifyOptions,
    exit::Exit,
    notify::{
        Light, News, SlotState, decide,
        mail::{self, Here},
        memory::{Memory, lock},
        message::{About, Message},
        settings::{Mail, Notify, Post, SettingError, Webhook, mailbox},
    },
    platform::Machine,
    server::{
        api::Api,
        reported::{FullResult, LastResult},
        webhook,
    },
    words::plain,
};

/// The longest that posting a message may take.
const POST: Duration = Duration::from_secs(30);

/// One way to reach people.
enum Channel {
    Mail(Mail),
    Webhook(Webhook),
    /// For `--dry-run` without recipients.
    Nobody,
}

/// A message that is due.
struct Due<'c> {
    channel: &'c Channel,
    memory: Memory,
    before: Option<SlotState>,
    news: News,
    /// What to remember once it is sent.
    after: SlotState,
}

struct Sent {
    to: String,
    message: Message,
}

impl Channel {
    /// Tells recipients apart.
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
    fn description(&self) -> String {
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

/// Sends what is due.
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
    let lock = lock(&querier.home)
        .map_err(|error| cannot_record(format!("cannot look up what was sent before: {error}")))?;
    let Some(_lock) = lock else {
        say("pony-run: another \"pony-run notify\" is running");
        return Ok(Exit::Ok);
    };
    mail::cleanup(&querier.home.notify());
    let sent = match querier.reach(&server).await {
        Ok(api) => send_all(&mut querier, &api, &channels, options).await,
        Err(failure) => Err(failure),
    };
    server.close().await;
    let (sent, exit) = sent?;
    if options.ask.json {
        print(&format!("{:#}", sent.iter().map(Sent::json).collect::<Json>()));
    } else if !sent.is_empty() {
        print(&sent.iter().map(|sent| sent.text(options.dry_run)).collect::<Vec<_>>().join("\n"));
    }
    Ok(exit)
}

/// Those of the command line, else those of the configuration.
fn channels(options: &NotifyOptions, configured: &Notify) -> Result<Vec<Channel>, SettingError> {
    let Notify { mail, webhook } = configured.clone();
    let to = options.mail_to.iter().map(|to| mailbox(to)).collect::<Result<Vec<Mailbox>, _>>()?;
    let given = options.webhook.as_ref().filter(|url| !url.is_empty()).map(|url| url.parse()).transpose()?;
    let is_given = !to.is_empty() || given.is_some();
    let mail = match (to.is_empty(), mail) {
        // As it goes otherwise, to somebody else.
        (false, Some(mail)) => Some(Mail { to, ..mail }),
        (false, None) => Some(Mail { from: None, to, by: Post::Sendmail }),
        (true, mail) => mail.filter(|_| !is_given),
    };
    let webhook = given.or_else(|| webhook.filter(|_| !is_given));
    Ok(mail.map(Channel::Mail).into_iter().chain(webhook.map(Channel::Webhook)).collect())
}

async fn send_all(
    querier: &mut Querier,
    api: &Api,
    channels: &[Channel],
    options: &NotifyOptions,
) -> Result<(Vec<Sent>, Exit), Failure> {
    let lasts = querier.last(api, &options.slots.package, &options.slots.tags).await?;
    let (server, host) = (api.server.name(), Machine::look().facts.host);
    let (mut all, mut exit) = (Vec::new(), Exit::Ok);
    for last in lasts {
        let due = due(querier, &server, &last, channels, options.dry_run)?;
        if due.is_empty() {
            continue;
        }
        let result = last.summary.clone();
        let full = complete(querier, api, last).await?;
        for Due { channel, memory, before, news, after } in due {
            let about = About {
                news,
                result: &result,
                full: full.as_ref(),
                server: &server,
                before: before.as_ref(),
            };
            let message = Message::new(about, querier.clock.wall());
            if !options.dry_run {
                let notified = before.as_ref().and_then(|before| before.notified);
                let id = memory.message_id(&json!([news, result.key, notified]).to_string());
                if let Err(why) = send(querier, channel, &message, &id, &host).await? {
                    say(&format!("pony-run: {} was not sent: {}", channel.description(), plain(&why)));
                    exit = exit.worst(Exit::NotDelivered);
                    continue;
                }
                memory.save(&after).map_err(|error| unremembered(&error))?;
            }
            all.push(Sent { to: channel.description(), message });
        }
    }
    Ok((all, exit))
}

/// The messages about a slot that are due. A state without one is remembered at once.
fn due<'c>(
    querier: &Querier,
    server: &str,
    last: &LastResult,
    channels: &'c [Channel],
    is_dry_run: bool,
) -> Result<Vec<Due<'c>>, Failure> {
    let Some(light) = Light::of(last.summary.status) else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for channel in channels {
        let memory = Memory::new(&querier.home, server, &last.summary.slot, &channel.identity());
        let before = memory.load().map_err(cannot_record)?;
        let (news, after) = decide(before.as_ref(), light, querier.clock.wall());
        match news {
            Some(news) => all.push(Due { channel, memory, before, news, after }),
            None if !is_dry_run && before.as_ref() != Some(&after) => {
                memory.save(&after).map_err(|error| unremembered(&error))?;
            }
            None => {}
        }
    }
    Ok(all)
}

/// The whole of a result; a message without it is better than none.
async fn complete(querier: &mut Querier, api: &Api, last: LastResult) -> Result<Option<FullResult>, Failure> {
    let found = querier.unless_stopped(api.complete(last)).await?;
    Ok(found.unwrap_or_else(|error| {
        say(&format!("pony-run: {}", plain(&error.to_string())));
        None
    }))
}

/// The inner error says why it was not sent.
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
            let sending = webhook::post(webhook.url(), json.to_string().into(), POST);
            Ok(querier.unless_stopped(sending).await?.map_err(|error| error.to_string()))
        }
        Channel::Nobody => Ok(Ok(())),
    }
}

fn unremembered(error: &std::io::Error) -> Failure {
    cannot_record(format!("cannot note that a message was sent; it will be sent again next time: {error}"))
}

impl Sent {
    fn json(&self) -> Json {
        let mut json = self.message.json.clone();
        json["to"] = self.to.as_str().into();
        json["subject"] = self.message.subject.as_str().into();
        json["body"] = self.message.body.as_str().into();
        json
    }

    fn text(&self, is_dry_run: bool) -> String {
        if is_dry_run {
            return format!("to: {}\nsubject: {}\n\n{}", self.to, self.message.subject, self.message.body);
        }
        format!("{}: {}", self.to, self.message.subject)
    }
}
