//! `--if-needed`: asks upstream and the server, in the order of the rules in `plan::if_needed`.

use pony_wire::ShouldBuild;

use super::Inspector;
use crate::{
    config::Config,
    delivery::receipt::Receipt,
    exit::Exit,
    plan::{
        Build, PlanContext,
        if_needed::{self, Rule},
    },
    record::folder::RunFolder,
    run::{self, DirectShell},
    server::Server,
    slots::Memory,
};

/// What is known here of the slot of a build.
pub(super) struct Slot<'s> {
    /// Of its earlier runs.
    pub(super) memory: &'s Memory,
    /// Another run of it has not ended yet.
    pub(super) under_way: bool,
}

/// The rule that decides, told to the person. A signal ends it.
pub(super) async fn is_needed(
    inspector: &mut Inspector<'_>,
    build: &Build,
    slot: &Slot<'_>,
    context: &PlanContext<'_>,
) -> Result<Rule, Exit> {
    let PlanContext { options, config, servers, .. } = context;
    // One word is enough, and only one slot is held.
    let Some(server) = servers.first() else { return Ok(Rule::Forced) };
    if options.force && !options.explain {
        return Ok(Rule::Forced);
    }
    let rule = match (options.force, slot.under_way) {
        (true, _) => Rule::Forced,
        (false, true) => Rule::UnderWay,
        (false, false) => here_and_upstream(inspector, build, slot.memory, config).await?,
    };
    // To be asked takes a request away, and reserves: not for a mere explanation.
    // Nor for a run that reports to nobody, but where nobody else can tell.
    let ask = !options.explain && rule != Rule::UnderWay && (!options.no_report || rule == Rule::Untold);
    let rule = if ask {
        at_server(inspector, build, slot.memory, server, rule, !options.no_report).await?
    } else {
        rule
    };
    let package = &build.job.name;
    let verdict = if rule.builds() { "to be built" } else { "nothing to do" };
    inspector.console.note(format!("{package}: {verdict}, {rule}"));
    if options.explain && !rule.builds() && rule != Rule::UnderWay {
        inspector.console.note(format!("{package}: {} may still ask for a build", server.name()));
    }
    Ok(rule)
}

async fn here_and_upstream(
    inspector: &mut Inspector<'_>,
    build: &Build,
    memory: &Memory,
    config: &Config,
) -> Result<Rule, Exit> {
    let Build { job, .. } = build;
    let now = inspector.console.clock.wall();
    if let Some(rule) = if_needed::before_asking(memory, &job.made_from, now, config.retry_after.0) {
        return Ok(rule);
    }
    let mut asker = DirectShell::new(job.inherited.clone());
    let question = upstream(build, memory, &mut asker, now);
    let rule = tokio::select! {
        rule = question => rule,
        signal = inspector.signals.next() => return Err(Exit::Signal(signal)),
    };
    for note in asker.notes {
        inspector.console.note(note);
    }
    Ok(rule)
}

async fn upstream(build: &Build, memory: &Memory, asker: &mut DirectShell, now: jiff::Timestamp) -> Rule {
    let Build { job, .. } = build;
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
        Rule::Refused(run::words_for(error))
    }
}

/// Asks the server, and with `report` reserves the slot if it is to be built. One that cannot be asked stops nothing.
async fn at_server(
    inspector: &mut Inspector<'_>,
    build: &Build,
    memory: &Memory,
    server: &Server,
    rule: Rule,
    report: bool,
) -> Result<Rule, Exit> {
    let reserve = report && (rule.builds() || rule == Rule::Untold);
    let answer = tokio::select! {
        answer = server.check_should_build(build.job.slot(), reserve) => answer,
        signal = inspector.signals.next() => return Err(Exit::Signal(signal)),
    };
    match answer {
        Ok(ShouldBuild { build: needed, reason }) => {
            // The last run may have reserved the slot and then not delivered what would give it back.
            let last = RunFolder::of(inspector.home, &build.job.recipe.package, &memory.run_id);
            let undelivered = !memory.run_id.is_empty() && !Receipt::exists(&last, &server.name());
            if reserve && needed {
                // So that it is known as ours if nothing comes of it.
                Memory::reserve(inspector.home, &build.job.slot());
            }
            let ours = memory.reserved || undelivered;
            Ok(if_needed::of_server(rule, needed, reason, ours))
        }
        Err(error) => {
            inspector.console.note(format!("{} was not asked whether to build: {error}", server.name()));
            Ok(if rule == Rule::Untold {
                Rule::Server(true, "nothing, so it is built".to_owned())
            } else {
                rule
            })
        }
    }
}
