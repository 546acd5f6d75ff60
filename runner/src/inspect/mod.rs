//! Before anything runs: which of the builds are to be run, which are there already, and why.

mod if_needed;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use pony_contexts::{
    ClientInfo, ContextRequest,
    cache::outputs::{self, StoredOutputs},
};
use tokio::{sync::Semaphore, task::JoinSet};

use self::if_needed::{Slot, is_needed};
use crate::{
    cli::RunOptions,
    disk::Lock,
    display::Console,
    environment,
    error::Failure,
    exit::Exit,
    graph::{Graph, GraphNode},
    home::Home,
    inputs::Ingredients,
    plan::{Build, PlanContext, if_needed as rules, plan_node},
    process::{signals::Signals, spawn::Environment},
    record::Outcome,
    run::{Among, DirectShell, words_for},
    slots::{self, Memory},
};

/// Questions that are asked at once.
const AT_ONCE: usize = 8;

/// What becomes of a build.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is run: why.
    Build(String),
    /// What an earlier run of it made serves.
    Reuse(StoredOutputs),
    /// It is not run: why.
    Leave(String),
}

/// All that is known of the builds of a graph before any of them runs.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Of each build.
    pub(crate) verdicts: Vec<Verdict>,
    /// What stands for each build as it would be made now, if that can be told.
    pub(crate) contents: Vec<Option<String>>,
    /// What is known of the context of each whose outputs are to be found again.
    pub(crate) facts: Vec<Option<ClientInfo>>,
    /// Seconds that each took when it last passed.
    pub(crate) usual: Vec<Option<f64>>,
    /// Seconds that each is expected to take.
    pub(crate) expected: Vec<Option<f64>>,
    /// Slots that are held from now on, by build.
    pub(crate) held: BTreeMap<usize, Lock>,
}

/// What upstream and the machine say of one build.
#[derive(Debug, Default)]
struct Told {
    tip: Option<String>,
    facts: ClientInfo,
    /// Why nothing is said.
    why: Option<String>,
    /// Because upstream is out of reach, or not to be asked.
    is_unreachable: bool,
}

impl Told {
    /// Where upstream is out of reach, what was built last counts.
    fn or_last(mut self, memory: &Memory) -> Self {
        if self.is_unreachable && memory.tip.is_some() {
            self.tip.clone_from(&memory.tip);
            self.why = None;
        }
        self
    }
}

/// What is known of one build by itself.
#[derive(Debug, Default)]
struct Known {
    /// Why it is to be run, whoever needs it.
    reason: Option<String>,
    /// Why it cannot be there, run or not.
    blocked: Option<Blocked>,
    /// Its outputs.
    there: Option<StoredOutputs>,
    /// Why there is no telling whether it has changed.
    untold: Option<String>,
}

/// A build that has not passed and has not changed since: the first on the way to it.
#[derive(Debug, Clone)]
struct Blocked {
    place: usize,
    why: String,
}

impl Blocked {
    /// As it is said of the build at `index`.
    fn say(&self, graph: &Graph, index: usize) -> String {
        if self.place == index {
            return self.why.clone();
        }
        format!("{}, which it needs: {}", graph.builds[self.place].name, self.why)
    }
}

/// Who asks, and reports what is odd.
pub(crate) struct Inspector<'i> {
    pub(crate) home: &'i Home,
    pub(crate) console: &'i Console,
    pub(crate) signals: &'i mut Signals,
}

/// Asks upstream where that is needed, and with `--if-needed` the server, and decides.
pub(crate) async fn survey(
    inspector: &mut Inspector<'_>,
    graph: &Graph,
    context: &PlanContext<'_>,
) -> Result<Survey, Failure> {
    let options = context.options;
    let rebuilt = rebuilt(graph, options)?;
    let mut is_needed_by_any = vec![false; graph.builds.len()];
    for need in graph.builds.iter().flat_map(|node| &node.needs) {
        is_needed_by_any[*need] = true;
    }
    let kept = |index: usize| is_needed_by_any[index] || !graph.builds[index].recipe.outputs.is_empty();
    let now = inspector.console.clock.wall();
    let plans = |index: usize| {
        let planned = plan_node(&graph.builds[index], Among::default(), context, now);
        planned.map_err(|error| crate::plan::planned(&error))
    };
    let mut questions = Vec::new();
    for (index, node) in graph.builds.iter().enumerate() {
        if kept(index) && has_questions(node) {
            let Build { job, .. } = plans(index)?;
            let about_tip = !rebuilt[index] && (!node.requested || options.if_needed);
            questions.push((index, job.request(), job.inherited, about_tip));
        }
    }
    let mut told = ask(inspector, questions).await.map_err(stopped)?;
    let mut survey = Survey::default();
    let mut all: Vec<Known> = Vec::new();
    let mut slots_held = HashSet::new();
    for (index, node) in graph.builds.iter().enumerate() {
        let mut build = plans(index)?;
        let memory = Memory::of(inspector.home, &build.job.slot());
        let told = told.remove(&index).unwrap_or_default().or_last(&memory);
        let facts = kept(index).then(|| with_compilers(told.facts.clone(), &build));
        let named = node.recipe.needs.iter().zip(&node.needs);
        build.job.made_from.needs =
            named.map(|(need, place)| (need.name.clone(), survey.contents[*place].clone())).collect();
        let is_tellable = told.why.is_none() && (!rebuilt[index] || node.requested);
        let input_hash = facts.as_ref().filter(|_| is_tellable);
        let input_hash = input_hash.and_then(|facts| build.job.content(told.tip.as_deref(), facts));
        let runs: Option<Vec<String>> = node
            .needs
            .iter()
            .map(|need| all[*need].there.as_ref().map(|found| found.manifest.run_id.clone()))
            .collect();
        let can_serve = !rebuilt[index] && (!node.requested || options.if_needed);
        let found = input_hash.as_ref().zip(runs).filter(|_| can_serve);
        let there = found.and_then(|(input_hash, runs)| {
            outputs::find(&build.job.cache, &Ingredients::key(input_hash, runs.iter().map(String::as_str)))
        });
        survey.usual.push(memory.took);
        survey.expected.push(memory.expected());
        survey.contents.push(input_hash);
        survey.facts.push(facts);
        let blocker = node.needs.iter().find_map(|need| all[*need].blocked.clone());
        let of_itself = |why| Blocked { place: index, why };
        let mut known = Known { there, untold: told.why.clone(), ..Known::default() };
        if let (Some(blocker), None) = (blocker, &known.there) {
            if node.requested {
                inspector.console.note(format!(
                    "{}: nothing to do, {}",
                    node.name,
                    blocker.say(graph, index)
                ));
            }
            known.blocked = Some(blocker);
        } else if node.requested && !options.if_needed {
            known.reason = Some("it is asked for".to_owned());
        } else if node.requested {
            // Others see from here on that a run of the slot is under way; without the lock it runs all the same.
            let is_ours = !slots_held.insert(format!("{:?}", build.job.slot()));
            let held = if is_ours { Ok(None) } else { slots::hold(inspector.home, &build.job.slot()) };
            // Only now: until the slot is ours, another run may leave something new to remember.
            let memory = Memory::of(inspector.home, &build.job.slot());
            build.job.recall(&memory);
            let slot = Slot { memory: &memory, under_way: !is_ours && matches!(held, Ok(None)) };
            let rule = is_needed(inspector, &build, &slot, context).await.map_err(stopped)?;
            if rule.builds() {
                known.reason = Some(rule.to_string());
                survey.held.extend(held.ok().flatten().map(|lock| (index, lock)));
            } else if known.there.is_none() {
                known.blocked = unchanged(&build, &memory, &told, context, now).map(of_itself);
            }
        } else if options.if_needed && known.there.is_none() && !rebuilt[index] {
            known.blocked = unchanged(&build, &memory, &told, context, now).map(of_itself);
        }
        all.push(known);
    }
    survey.decide(graph, all, &rebuilt);
    Ok(survey)
}

/// Why a build that is not there would not come to be there either: it has not passed, and nothing has changed since.
fn unchanged(
    build: &Build,
    memory: &Memory,
    told: &Told,
    context: &PlanContext<'_>,
    now: jiff::Timestamp,
) -> Option<String> {
    let last = memory.last.as_ref().filter(|last| last.outcome != Outcome::Passed)?;
    if told.why.is_some() || context.options.force {
        return None;
    }
    let Build { job, .. } = build;
    let rule = rules::before_asking(memory, &job.made_from, now, context.config.retry_after.0);
    let rule =
        rule.unwrap_or_else(|| rules::of_tip(memory, told.tip.as_deref(), job.recipe.force_every, now));
    (!rule.builds()).then(|| format!("it ended as {} and {rule}", last.outcome.word()))
}

/// Compilers and their flags in the environment make another build too.
fn with_compilers(mut facts: ClientInfo, build: &Build) -> ClientInfo {
    let told = environment::compilers(&build.job.environment);
    if !told.is_empty() {
        facts.insert("environment".to_owned(), told.into());
    }
    facts
}

impl Survey {
    /// How many builds are run.
    pub(crate) fn runs(&self) -> usize {
        self.verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Build(_))).count()
    }

    /// How many builds are to be told of: those that run, and those that they find there.
    pub(crate) fn count(&self) -> usize {
        self.verdicts.iter().filter(|verdict| !matches!(verdict, Verdict::Leave(_))).count()
    }

    /// What has a reason is run, what that needs is run if it is not there, and the rest is left.
    fn decide(&mut self, graph: &Graph, all: Vec<Known>, rebuilt: &[bool]) {
        let mut is_wanted = vec![false; all.len()];
        let mut runs = vec![false; all.len()];
        for (index, (node, known)) in graph.builds.iter().zip(&all).enumerate().rev() {
            is_wanted[index] |= known.reason.is_some();
            runs[index] = is_wanted[index] && (known.reason.is_some() || known.there.is_none());
            if is_wanted[index] {
                for need in &node.needs {
                    is_wanted[*need] = true;
                }
            }
        }
        for (index, (node, known)) in graph.builds.iter().zip(all).enumerate() {
            let anew = node.needs.iter().find(|need| runs[**need]);
            let why = || match (&known.reason, &known.untold, anew) {
                (Some(reason), ..) => reason.clone(),
                _ if rebuilt[index] => "--rebuild".to_owned(),
                (None, Some(untold), _) => untold.clone(),
                (None, None, Some(need)) => format!("{} is built", graph.builds[*need].name),
                (None, None, None) => "what it makes is not there".to_owned(),
            };
            let verdict = match known.there {
                _ if runs[index] => Verdict::Build(why()),
                Some(found) if is_wanted[index] => Verdict::Reuse(found),
                _ => Verdict::Leave(known.blocked.map_or_else(
                    || "nothing has need of it".to_owned(),
                    |blocked| blocked.say(graph, index),
                )),
            };
            self.verdicts.push(verdict);
        }
    }
}

fn stopped(exit: Exit) -> Failure {
    // A signal needs no words.
    Failure::silent(exit)
}

fn has_questions(node: &GraphNode) -> bool {
    let recipe = &node.recipe;
    recipe.source.is_some()
        || !recipe.tools.is_empty()
        || matches!(recipe.context, crate::recipe::Context::Virtualenv(_))
}

/// Which builds `--rebuild` names.
fn rebuilt(graph: &Graph, options: &RunOptions) -> Result<Vec<bool>, Failure> {
    let mut rebuilt = vec![false; graph.builds.len()];
    for name in &options.rebuild {
        let mut found = false;
        for (index, node) in graph.builds.iter().enumerate() {
            let bare = node.name.split(['[', '(']).next().unwrap_or_default();
            if name.is_empty() || *name == node.name || name == bare || *name == node.recipe.package {
                rebuilt[index] = true;
                found = true;
            }
        }
        if !found {
            let names: Vec<&str> = graph.builds.iter().map(|node| node.name.as_str()).take(20).collect();
            let message =
                format!("pony-run: --rebuild={name}: there is no such build; there are {}", names.join(", "));
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    Ok(rebuilt)
}

/// Asks all of them, some at once.
async fn ask(
    inspector: &mut Inspector<'_>,
    questions: Vec<(usize, ContextRequest, Environment, bool)>,
) -> Result<BTreeMap<usize, Told>, Exit> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut asking = JoinSet::new();
    for (index, mut request, env, about_tip) in questions {
        let room = Arc::clone(&room);
        asking.spawn(async move {
            let _turn = room.acquire_owned().await;
            request.network.retry_delays.clear();
            let mut asker = DirectShell::new(env);
            let mut told = Told::default();
            match pony_contexts::toolchain(&request, &mut asker).await {
                Ok(facts) => told.facts = facts,
                Err(error) => told.why = Some(words_for(&error)),
            }
            if about_tip && request.source.as_ref().is_some_and(|source| source.pinned().is_none()) {
                match pony_contexts::tip(&request, &mut asker).await {
                    Ok(None) => {
                        told.why = Some("there is no telling whether its source has changed".to_owned());
                    }
                    Ok(tip) => told.tip = tip,
                    Err(error) => {
                        told.is_unreachable = error.is_network_error();
                        told.why = Some(words_for(&error));
                    }
                }
            }
            (index, told, asker.notes)
        });
    }
    let mut all = BTreeMap::new();
    loop {
        tokio::select! {
            done = asking.join_next() => match done {
                None => return Ok(all),
                Some(Ok((index, told, notes))) => {
                    for note in notes {
                        inspector.console.note(note);
                    }
                    all.insert(index, told);
                }
                Some(Err(error)) => inspector.console.note(format!("a question was not answered: {error}")),
            },
            signal = inspector.signals.next() => return Err(Exit::Signal(signal)),
        }
    }
}
