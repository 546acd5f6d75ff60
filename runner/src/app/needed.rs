//! `--if-needed`: asks upstream and the server, in the order of the rules in `needed`.

use super::session::Session;
use crate::{
    cli::RunOptions,
    config::Config,
    exit::Exit,
    needed::{self, Rule},
    plan::Build,
    run::{self, Asker},
    submit::{self, Target},
};

/// Whether to build, told to the person; not where another run of the slot is `under_way`. A signal ends it.
pub(super) async fn is_needed(
    session: &mut Session,
    build: &Build,
    target: &Target,
    options: &RunOptions,
    config: &Config,
    under_way: bool,
) -> Result<bool, Exit> {
    if options.force && !options.explain {
        return Ok(true);
    }
    let rule = match (options.force, under_way) {
        (true, _) => Rule::Forced,
        (false, true) => Rule::UnderWay,
        (false, false) => here_and_upstream(session, build, config).await?,
    };
    // To be asked takes a request away, and reserves: not for a mere explanation.
    let rule = if options.explain || rule == Rule::UnderWay {
        rule
    } else {
        at_server(session, build, target, rule, !options.no_report).await?
    };
    let package = &build.job.recipe.package;
    let verdict = if rule.builds() { "to be built" } else { "nothing to do" };
    session.note(format!("{package}: {verdict}, {rule}"));
    if options.explain && !rule.builds() && rule != Rule::UnderWay {
        session.note(format!("{package}: {} may still ask for a build", target.name()));
    }
    Ok(rule.builds() && !options.explain)
}

async fn here_and_upstream(session: &mut Session, build: &Build, config: &Config) -> Result<Rule, Exit> {
    let Build { job, memory, .. } = build;
    let now = session.clock.wall();
    if let Some(rule) = needed::before_asking(memory, &job.made_from, now, config.retry_after.0) {
        return Ok(rule);
    }
    let mut asker = Asker::new(job.inherited.clone());
    let question = upstream(build, &mut asker, now);
    let rule = tokio::select! {
        rule = question => rule,
        signal = session.signals.next() => return Err(Exit::Signal(signal)),
    };
    for note in asker.notes {
        session.note(note);
    }
    Ok(rule)
}

async fn upstream(build: &Build, asker: &mut Asker, now: jiff::Timestamp) -> Rule {
    let Build { job, memory, .. } = build;
    let mut request = job.request();
    // The next time is soon enough.
    request.network.waits.clear();
    let recipe = &job.recipe;
    let tip = match pony_contexts::tip(&request, asker).await {
        Ok(tip) => tip,
        Err(error) => return refused(&error),
    };
    let rule = needed::of_tip(memory, tip.as_deref(), recipe.force_every, now);
    let (Rule::Moved(Some(from), to), false) = (&rule, recipe.watch.is_all()) else { return rule };
    match pony_contexts::moved(&request, from, asker).await {
        Ok(Some(files)) if !files.iter().any(|file| recipe.watch.counts(file)) => {
            needed::of_age(memory, recipe.force_every, now).unwrap_or_else(|| Rule::Unwatched(to.clone()))
        }
        Ok(_) => rule,
        Err(error) => refused(&error),
    }
}

fn refused(error: &pony_contexts::Error) -> Rule {
    if error.is_of_the_network() {
        Rule::Unreachable(error.to_string())
    } else {
        Rule::Refused(run::words_for(error))
    }
}

/// Asks the server, and with `report` reserves the slot if it is to be built. One that cannot be asked stops nothing.
async fn at_server(
    session: &mut Session,
    build: &Build,
    target: &Target,
    rule: Rule,
    report: bool,
) -> Result<Rule, Exit> {
    let reserve = report && (rule.builds() || rule == Rule::Untold);
    let answer = tokio::select! {
        answer = submit::check_should_build(target, build.job.slot(), reserve) => answer,
        signal = session.signals.next() => return Err(Exit::Signal(signal)),
    };
    match answer {
        Ok(submit::Needed { build, reason }) => Ok(needed::of_server(rule, build, reason)),
        Err(error) => {
            session.note(format!("{} was not asked whether to build: {error}", target.name()));
            Ok(if rule == Rule::Untold {
                Rule::Server(true, "nothing, so it is built".to_owned())
            } else {
                rule
            })
        }
    }
}
