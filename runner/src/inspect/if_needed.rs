//! `--if-needed` for one build: asks upstream and the server, in the order of the rules in `plan::if_needed`.

use pony_wire::ShouldBuild;

use super::Inspector;
use crate::{
    delivery::receipt::Receipt,
    exit::Exit,
    plan::if_needed::{self, Rule},
    record::folder::RunFolder,
    run::{DirectShell, Job, words_for},
    slots::Memory,
};

/// What is known here of the slot of a build.
pub(super) struct SlotState<'s> {
    /// Of its earlier runs.
    pub(super) memory: &'s Memory,
    /// Another run of it has not ended yet.
    pub(super) under_way: bool,
}

/// The rule that decides, reported to the person. A signal ends it.
pub(super) async fn is_needed(
    inspector: &mut Inspector<'_>,
    job: &Job,
    slot: &SlotState<'_>,
) -> Result<Rule, Exit> {
    let options = inspector.options.clone();
    if options.force && !options.explain {
        return Ok(Rule::Forced);
    }
    let rule = match (options.force, slot.under_way) {
        (true, _) => Rule::Forced,
        (false, true) => Rule::UnderWay,
        (false, false) => here_and_upstream(inspector, job, slot.memory).await?,
    };
    let rule = if if_needed::asks_server(&rule, options.explain, options.reports) {
        at_server(inspector, job, slot.memory, rule).await?
    } else {
        rule
    };
    let verdict = if rule.builds() { "building" } else { "nothing to do" };
    inspector.console.note(format!("{}: {verdict}: {rule}", job.name));
    if options.explain && !rule.builds() && rule != Rule::UnderWay {
        let server = if inspector.server.is_embedded() {
            "this machine's own server".to_owned()
        } else {
            inspector.server.name()
        };
        inspector.console.note(format!("{}: (a build requested on {server} was not checked)", job.name));
    }
    Ok(rule)
}

async fn here_and_upstream(inspector: &mut Inspector<'_>, job: &Job, memory: &Memory) -> Result<Rule, Exit> {
    let now = inspector.console.clock.wall();
    let retry_after = inspector.options.retry_after;
    if let Some(rule) = if_needed::before_asking(memory, &job.made_from, now, retry_after) {
        return Ok(rule);
    }
    let mut asker = DirectShell::new(job.inherited.clone());
    let question = upstream(job, memory, &mut asker, now);
    let rule = tokio::select! {
        rule = question => rule,
        signal = inspector.signals.next() => return Err(Exit::Signal(signal)),
    };
    for note in asker.notes {
        inspector.console.note(note);
    }
    Ok(rule)
}

async fn upstream(job: &Job, memory: &Memory, asker: &mut DirectShell, now: jiff::Timestamp) -> Rule {
    let mut request = job.request();
    // The next time is soon enough.
    request.network.retry_delays.clear();
    let recipe = &job.recipe;
    let tip = match pony_contexts::tip(&request, asker).await {
        Ok(tip) => tip,
        // What the cache holds can be built again, if it is time.
        Err(error) if error.is_network_error() => {
            return if_needed::of_age(memory, recipe.force_every, now).unwrap_or_else(|| refused(&error));
        }
        Err(error) => return refused(&error),
    };
    if recipe.source.is_none() && !recipe.needs.is_empty() {
        return if_needed::of_age(memory, recipe.force_every, now).unwrap_or(Rule::SameNeeds);
    }
    let rule = if_needed::of_tip(memory, tip.as_deref(), recipe.force_every, now);
    let (Rule::Moved(Some(from), to), false) = (&rule, recipe.watch.is_all()) else { return rule };
    match pony_contexts::changed_files(&request, from, asker).await {
        Ok(Some(files)) if !files.iter().any(|file| recipe.watch.counts(file)) => {
            if_needed::of_age(memory, recipe.force_every, now).unwrap_or_else(|| Rule::Unwatched(to.clone()))
        }
        Ok(_) => rule,
        Err(error) => refused(&error),
    }
}

fn refused(error: &pony_contexts::Error) -> Rule {
    if error.is_network_error() {
        Rule::Unreachable(error.to_string())
    } else {
        Rule::Refused(words_for(error))
    }
}

/// Asks the server, and reserves the slot if it is to be built. One that cannot be asked stops nothing.
async fn at_server(
    inspector: &mut Inspector<'_>,
    job: &Job,
    memory: &Memory,
    rule: Rule,
) -> Result<Rule, Exit> {
    let (home, server) = (inspector.home, inspector.server);
    let reserve = if_needed::reserves(&rule, inspector.options.reports);
    let answer = tokio::select! {
        answer = server.check_should_build(job.slot(), reserve) => answer,
        signal = inspector.signals.next() => return Err(Exit::Signal(signal)),
    };
    match answer {
        Ok(ShouldBuild { build, reason }) => {
            // The last run may have reserved the slot and then not delivered what would give it back.
            let last = RunFolder::of(home, &job.recipe.package, &memory.run_id);
            let undelivered = !memory.run_id.is_empty() && !Receipt::exists(&last, &server.name());
            if reserve && build {
                // So that it is known as ours if nothing comes of it.
                Memory::reserve(home, &job.slot());
            }
            Ok(if_needed::of_server(rule, build, reason, memory.reserved || undelivered))
        }
        Err(error) => {
            let name = server.name();
            inspector.console.note(format!("cannot ask {name} whether to build: {error}"));
            Ok(if_needed::without_server(rule))
        }
    }
}
