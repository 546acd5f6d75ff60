//! Before anything runs: asks upstream, the cache and with `--if-needed` the server, and has `plan::decision` decide what becomes of
//! each build. Builds nothing.

mod if_needed;
mod upstream;

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use pony_contexts::{
    ClientInfo,
    cache::outputs::{self, StoredOutputs},
};

use self::{
    if_needed::{SlotState, is_needed},
    upstream::{ask, has_questions},
};
use crate::{
    disk::Lock,
    display::Console,
    environment,
    exit::Exit,
    home::Home,
    inputs::Ingredients,
    plan::{
        Plan,
        decision::{Blocker, BuildReason, Decision, Finding, Question, Request, decide},
        if_needed::would_fail_again,
    },
    process::signals::Signals,
    run::Job,
    server::Server,
    slots::{self, Memory},
};

/// What the command line and the configuration say of it.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one switch of the command line")]
pub(crate) struct InspectOptions {
    /// `--if-needed`
    pub(crate) if_needed: bool,
    /// `--force`
    pub(crate) force: bool,
    /// `--explain`: nothing is reserved, and nothing taken.
    pub(crate) explain: bool,
    /// Results go to the server, so that it may expect one.
    pub(crate) reports: bool,
    /// Of each build, whether `--rebuild` names it.
    pub(crate) rebuild: Vec<bool>,
    /// How soon what was not the code's fault is tried again.
    pub(crate) retry_after: Duration,
}

/// Who asks, and reports what is odd.
pub(crate) struct Inspector<'i> {
    pub(crate) home: &'i Home,
    pub(crate) console: &'i Console,
    pub(crate) signals: &'i mut Signals,
    /// The server that is asked whether to build.
    pub(crate) server: &'i Server,
    pub(crate) options: InspectOptions,
}

/// All that is known of the builds of a graph before any of them runs.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// One a build.
    pub(crate) decisions: Vec<Decision>,
    /// One a build.
    pub(crate) builds: Vec<Inspected>,
    /// Slots that are held from now on, by build.
    pub(crate) held: BTreeMap<usize, Lock>,
}

/// What is known of one build.
#[derive(Debug, Default)]
pub(crate) struct Inspected {
    /// What it is built from, if that can be told.
    pub(crate) input_hash: Option<String>,
    /// What is known of the context, where outputs are to be found again by later runs.
    pub(crate) facts: Option<ClientInfo>,
    /// Seconds that it took when it last passed.
    pub(crate) usual: Option<f64>,
    /// Seconds that it is expected to take.
    pub(crate) expected: Option<f64>,
    /// An earlier run's outputs, as built from the same. Nobody removes them as long as this lives.
    pub(crate) reusable: Option<StoredOutputs>,
}

impl Inspection {
    /// The builds that run, by their place in the graph.
    pub(crate) fn to_run(&self) -> Vec<usize> {
        let runs = |index: &usize| matches!(self.decisions[*index], Decision::Build(_));
        (0..self.decisions.len()).filter(runs).collect()
    }

    /// How many builds are shown: those that run, and those whose outputs they use.
    pub(crate) fn shown(&self) -> usize {
        self.decisions.iter().filter(|decision| !matches!(decision, Decision::Skip(_))).count()
    }
}

/// Looks at all builds. A signal ends it.
pub(crate) async fn inspect(inspector: &mut Inspector<'_>, plan: &Plan) -> Result<Inspection, Exit> {
    let graph = &plan.graph;
    let now = inspector.console.clock.wall();
    let options = inspector.options.clone();
    let mut is_needed_by_any = vec![false; graph.builds.len()];
    for need in graph.builds.iter().flat_map(|node| &node.needs) {
        is_needed_by_any[*need] = true;
    }
    let serves = |index: usize| is_needed_by_any[index] || !graph.builds[index].recipe.outputs.is_empty();
    let request = |index: usize| Request {
        requested: graph.builds[index].requested,
        if_needed: options.if_needed,
        rebuild: options.rebuild[index],
    };
    let mut questions = Vec::new();
    for (build, node) in graph.builds.iter().enumerate() {
        if serves(build) && has_questions(&node.recipe) {
            let job = plan.job(build, now).job;
            questions.push(upstream::Question {
                build,
                request: job.request(),
                environment: job.inherited,
                about_tip: request(build).may_reuse(),
            });
        }
    }
    let mut answers = ask(inspector, questions).await?;
    let mut inspection = Inspection::default();
    let mut findings: Vec<Finding> = Vec::new();
    let mut slots_held = HashSet::new();
    for (index, node) in graph.builds.iter().enumerate() {
        let mut job = plan.job(index, now).job;
        let slot = job.slot();
        let memory = Memory::of(inspector.home, &slot);
        let upstream = answers.remove(&index).unwrap_or_default().or_last(&memory);
        let named = node.recipe.needs.iter().zip(&node.needs);
        let hash = |need: &usize| inspection.builds[*need].input_hash.clone();
        job.made_from.needs = named.map(|(need, place)| (need.name.clone(), hash(place))).collect();
        let facts = serves(index).then(|| with_compilers(upstream.facts.clone(), &job));
        let input_hash = facts
            .as_ref()
            .filter(|_| upstream.why.is_none() && request(index).is_comparable())
            .and_then(|facts| job.content(upstream.tip.as_deref(), facts));
        let runs: Option<Vec<&str>> =
            node.needs.iter().map(|need| findings[*need].reusable.as_deref()).collect();
        let key = input_hash.as_ref().zip(runs).filter(|_| request(index).may_reuse());
        let reusable = key.and_then(|(input_hash, runs)| {
            outputs::find(&job.cache, &Ingredients::key(input_hash, runs.into_iter()))
        });
        let mut finding = Finding {
            reusable: reusable.as_ref().map(|found| found.manifest.run_id.clone()),
            unknown: upstream.why.clone(),
            rebuild: options.rebuild[index],
            ..Finding::default()
        };
        let fails_again = |job: &Job| {
            if upstream.why.is_some() || options.force {
                return None;
            }
            let tip = upstream.tip.as_deref();
            let force_every = job.recipe.force_every;
            would_fail_again(&memory, &job.made_from, tip, force_every, options.retry_after, now)
                .map(|why| Blocker { build: index, why })
        };
        let blocker = node.needs.iter().find_map(|need| findings[*need].blocker.clone());
        match Question::of(request(index), reusable.is_some(), blocker) {
            Question::Blocked(blocker) => {
                if node.requested {
                    let why = blocker.reason(graph, index);
                    inspector.console.note(format!("{}: nothing to do: {why}", node.name));
                }
                finding.blocker = Some(blocker);
            }
            Question::Requested => finding.reason = Some(BuildReason::Requested),
            Question::IfNeeded => {
                // Others see from here on that a run of the slot is under way; without the lock it runs all the same.
                let is_ours = !slots_held.insert(format!("{slot:?}"));
                let held = if is_ours { Ok(None) } else { slots::hold(inspector.home, &slot) };
                // Only now: until the slot is ours, another run may leave something new to remember.
                let memory = Memory::of(inspector.home, &slot);
                job.recall(&memory);
                let state = SlotState { memory: &memory, under_way: !is_ours && matches!(held, Ok(None)) };
                let rule = is_needed(inspector, &job, &state).await?;
                if rule.builds() {
                    finding.reason = Some(BuildReason::Needed(rule));
                    inspection.held.extend(held.ok().flatten().map(|lock| (index, lock)));
                } else if reusable.is_none() {
                    finding.blocker = fails_again(&job);
                }
            }
            Question::WouldFailAgain => finding.blocker = fails_again(&job),
            Question::Open => {}
        }
        findings.push(finding);
        let (usual, expected) = (memory.took, memory.expected());
        inspection.builds.push(Inspected { input_hash, facts, usual, expected, reusable });
    }
    inspection.decisions = decide(graph, &findings);
    Ok(inspection)
}

/// Compilers and their flags in the environment make another build too.
fn with_compilers(mut facts: ClientInfo, job: &Job) -> ClientInfo {
    let compilers = environment::compilers(&job.environment);
    if !compilers.is_empty() {
        facts.insert("environment".to_owned(), compilers.into());
    }
    facts
}
