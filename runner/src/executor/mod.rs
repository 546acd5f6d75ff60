//! Builds under way: each starts when what it needs is there and the machine has room, and tells those that need it what it
//! made.

mod build;
mod cleanup;
mod delivery;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use jiff::Timestamp;
use pony_contexts::{
    cache::outputs::StoredOutputs,
    chain::{DependencyOutputs, EnvironmentUse},
};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};

use self::{
    build::Over,
    delivery::{Cause, Post, deliver},
};
pub(crate) use self::{
    build::{Parcel, remember},
    cleanup::bounds,
};
use crate::{
    delivery::deliverer::Deliverer,
    display::Console,
    exit::Exit,
    graph::Graph,
    home::Home,
    inspect::{Survey, Verdict},
    jobserver::Jobserver,
    plan::{Build, PlanContext, plan_node},
    process::signals::{Relay, Signals},
    recipe::{DeferredValues, Weight},
    record::{
        NeedRecord, Outcome, RunRecord,
        event::{BuildHead, Event},
    },
    run::{Among, job::content, on_one_thread},
    schedule::{Capacity, Schedule, Task},
    slots::{self, Memory},
};

/// What builds share of the machine.
#[derive(Debug)]
pub(crate) struct Shares {
    /// Builds at once.
    pub(crate) slots: usize,
    /// Bytes of memory.
    pub(crate) memory: u64,
    /// Where jobs are shared; none for a build by itself.
    pub(crate) jobserver: Option<Jobserver>,
    /// What `make` says of its version.
    pub(crate) make: String,
}

/// What those that need a build have to know of it.
#[derive(Debug)]
struct Made {
    record: NeedRecord,
    /// What stands for it, if that can be told.
    content: Option<String>,
    outputs: BTreeMap<String, PathBuf>,
    ended: Timestamp,
    /// Nobody removes them until all is over.
    _found: Option<StoredOutputs>,
}

/// What is to be done.
pub(crate) struct Work<'c> {
    pub(crate) context: &'c PlanContext<'c>,
    pub(crate) graph: &'c Graph,
    pub(crate) shares: Shares,
    /// Carried by all results; none for one build by itself.
    pub(crate) chain: Option<String>,
    pub(crate) survey: Survey,
    pub(crate) deliverer: Deliverer,
    /// Results of earlier runs, to be delivered before any of these, so that what was last is last.
    pub(crate) before: Vec<Parcel>,
}

/// How a build is reached from one that needs it.
#[derive(Debug, Clone)]
struct Way {
    depth: usize,
    name: String,
    without: BTreeSet<EnvironmentUse>,
}

/// Builds under way.
struct Executor<'c> {
    home: Home,
    console: Console,
    signals: Signals,
    context: &'c PlanContext<'c>,
    graph: &'c Graph,
    shares: Shares,
    chain: Option<String>,
    survey: Survey,
    schedule: Schedule,
    /// The places in the graph of what is scheduled.
    places: Vec<usize>,
    made: Vec<Option<Made>>,
    causes: Vec<Option<Cause>>,
    running: JoinSet<(usize, Over)>,
    post: mpsc::UnboundedSender<Post>,
    exit: Exit,
}

/// Runs what the survey says is to be run, and delivers it.
pub(crate) async fn execute(work: Work<'_>) -> Exit {
    let (post, posted) = mpsc::unbounded_channel();
    let (relay, signals) = Relay::new();
    // A signal that ends builds does not keep what they have come to from being delivered.
    let mut delivery = tokio::spawn(deliver(
        Deliverer { signals, ..work.deliverer.clone() },
        work.context.servers.clone(),
        posted,
    ));
    let mut executor = Executor::new(work, post);
    executor.take_what_is_there();
    executor.announce();
    executor.drive().await;
    let Executor { console, mut signals, post, exit, chain, .. } = executor;
    // Nothing more comes: the delivery ends when it is done.
    drop(post);
    let delivered = loop {
        tokio::select! {
            biased;
            signal = signals.next() => relay.send(signal),
            delivered = &mut delivery => break of_task(&console, delivered),
        }
    };
    if let Some(chain) = chain {
        console.show(None, Event::ChainEnded { chain });
    }
    exit.worst(delivered)
}

impl<'c> Executor<'c> {
    fn new(work: Work<'c>, post: mpsc::UnboundedSender<Post>) -> Self {
        let Work { context, graph, shares, chain, survey, before, deliverer } = work;
        for parcel in before {
            let _ = post.send(Post::Result(Box::new(parcel)));
        }
        let is_built = |index: &usize| matches!(survey.verdicts[*index], Verdict::Build(_));
        let places: Vec<usize> = (0..graph.builds.len()).filter(is_built).collect();
        let capacity = Capacity { slots: shares.slots, memory: shares.memory };
        Self {
            home: deliverer.home,
            console: deliverer.console,
            signals: deliverer.signals,
            context,
            graph,
            shares,
            chain,
            schedule: Schedule::new(tasks(graph, &survey, &places), capacity),
            places,
            made: graph.builds.iter().map(|_| None).collect(),
            causes: vec![None; graph.builds.len()],
            running: JoinSet::new(),
            post,
            exit: Exit::Ok,
            survey,
        }
    }

    /// Whatever is reused is there before anything starts.
    fn take_what_is_there(&mut self) {
        let verdicts = std::mem::take(&mut self.survey.verdicts);
        for (index, verdict) in verdicts.into_iter().enumerate() {
            let Verdict::Reuse(found) = verdict else { continue };
            let manifest = found.manifest.clone();
            let record = NeedRecord {
                name: manifest.name,
                package: manifest.package,
                run_id: manifest.run_id,
                revision: manifest.revision,
                outcome: Outcome::Passed,
                reused: true,
            };
            let ended = manifest.ended.parse().unwrap_or_else(|_| self.console.clock.wall());
            let content = self.survey.contents[index].clone();
            self.made[index] =
                Some(Made { record, content, outputs: manifest.outputs, ended, _found: holding(found) });
        }
    }

    fn announce(&mut self) {
        let Some(chain) = self.chain.clone() else { return };
        let mut is_built = vec![false; self.graph.builds.len()];
        for place in &self.places {
            is_built[*place] = true;
        }
        let is_there = |index: &usize| self.made[*index].is_some() || is_built[*index];
        let head = |index: usize| {
            let node = &self.graph.builds[index];
            let needs = node.needs.iter().map(|need| self.graph.builds[*need].name.clone()).collect();
            BuildHead { name: node.name.clone(), needs, usual: self.survey.usual[index] }
        };
        let builds = (0..self.graph.builds.len()).filter(is_there).map(head).collect();
        self.console.show(None, Event::ChainStarted { chain, builds });
        for (node, made) in self.graph.builds.iter().zip(&self.made) {
            if let Some(Made { record, ended, .. }) = made {
                self.console
                    .show(Some(&node.name), Event::Reused { run_id: record.run_id.clone(), ended: *ended });
            }
        }
    }

    async fn drive(&mut self) {
        self.start();
        while !self.running.is_empty() {
            tokio::select! {
                biased;
                signal = self.signals.next() => {
                    // Each build that runs is told as well.
                    self.exit = self.exit.worst(Exit::Signal(signal));
                    self.stop("it was stopped before that");
                }
                Some(done) = self.running.join_next() => self.on_over(done),
            }
            self.start();
        }
    }

    /// Nothing more is begun.
    fn stop(&mut self, reason: &str) {
        for task in self.schedule.stop() {
            let name = &self.graph.builds[self.places[task]].name;
            self.console.show(Some(name), Event::NotBegun { reason: reason.to_owned() });
        }
    }

    fn start(&mut self) {
        for task in self.schedule.start() {
            let index = self.places[task];
            match self.ready(task) {
                Ok((build, share)) => {
                    let (home, console, mut signals) =
                        (self.home.clone(), self.console.clone(), self.signals.clone());
                    let held = self.survey.held.remove(&index);
                    let work = async move {
                        // Before it begins: waiting is no part of what it took.
                        let _share = match share {
                            None => None,
                            Some((jobserver, count)) => tokio::select! {
                                tokens = jobserver.take(count) => Some(tokens),
                                signal = signals.next() => {
                                    let exit = Exit::Signal(signal);
                                    return (task, Over { exit, begun: false, parcel: None, kept: None });
                                }
                            },
                        };
                        let build = recalled(&home, build);
                        let held = held.or_else(|| slots::hold(&home, &build.job.slot()).ok().flatten());
                        let over = build::build(&home, &console, &mut signals, &build).await;
                        drop(held);
                        (task, over)
                    };
                    let console = self.console.clone();
                    self.running.spawn_blocking(move || {
                        on_one_thread(work).unwrap_or_else(|error| {
                            console.note(format!("a build cannot be begun: {error}"));
                            let exit = Exit::CannotRecord;
                            (task, Over { exit, begun: false, parcel: None, kept: None })
                        })
                    });
                }
                Err(words) => {
                    self.console.note(format!("{} cannot be begun: {words}", self.graph.builds[index].name));
                    self.running.spawn(async move {
                        (task, Over { exit: Exit::RecipeInvalid, begun: false, parcel: None, kept: None })
                    });
                }
            }
        }
    }

    /// A build with all that it had to wait for.
    fn ready(&self, task: usize) -> Result<(Build, Option<(Jobserver, usize)>), String> {
        let index = self.places[task];
        let mut node = self.graph.builds[index].clone();
        let jobs = if node.recipe.uses_jobs { self.jobs(task) } else { 1 };
        if node.recipe.uses_jobs || node.recipe.uses_needs {
            let deferred = DeferredValues { jobs, needs: self.outputs_of_needs(index) };
            let facts = &self.context.machine.facts;
            node.recipe = node.with_deferred(facts, &deferred).map_err(|errors| errors.render(false))?;
        }
        // One build by itself has the machine to itself.
        let offered = node.recipe.jobserver.unwrap_or(self.shares.slots > 1 && self.places.len() > 1);
        let among = Among {
            chain: self.chain.clone(),
            needs: self.needs(index),
            handed: self.handed(index),
            kept_for: self.survey.facts[index].clone(),
            contents: self.contents(index),
            makeflags: self
                .shares
                .jobserver
                .as_ref()
                .filter(|_| offered)
                .map(|jobserver| jobserver.makeflags(&self.shares.make))
                .filter(|flags| !flags.is_empty()),
            // Of the recipe as it was planned: where outputs lie and how many jobs there are makes no other build.
            planned: Some(Box::new(self.graph.builds[index].recipe.clone())),
        };
        let now = self.console.clock.wall();
        let build = plan_node(&node, among, self.context, now).map_err(|error| error.to_string())?;
        Ok((build, self.shares.jobserver.clone().map(|jobserver| (jobserver, jobs))))
    }

    /// What a build needs, as far as it is there.
    fn needs(&self, index: usize) -> Vec<NeedRecord> {
        let made = self.graph.builds[index].needs.iter().filter_map(|need| self.made[*need].as_ref());
        made.map(|made| made.record.clone()).collect()
    }

    /// What stands for each build that this one needs, by what it is called there.
    fn contents(&self, index: usize) -> BTreeMap<String, Option<String>> {
        let node = &self.graph.builds[index];
        let named = node.recipe.needs.iter().zip(&node.needs);
        let content = |place: usize| self.made[place].as_ref().and_then(|made| made.content.clone());
        named.map(|(need, place)| (need.name.clone(), content(*place))).collect()
    }

    /// How many jobs a build that starts may run at once.
    fn jobs(&self, task: usize) -> usize {
        let alone = self.context.machine.facts.cpus;
        self.shares.jobserver.as_ref().map_or(alone, |jobserver| self.schedule.share(task, jobserver.jobs()))
    }

    fn outputs_of_needs(&self, index: usize) -> BTreeMap<String, BTreeMap<String, String>> {
        let node = &self.graph.builds[index];
        let outputs = |need: usize| {
            let made = self.made[need].iter().flat_map(|made| &made.outputs);
            made.map(|(name, path)| (name.clone(), path.display().to_string())).collect()
        };
        let named = node.recipe.needs.iter().zip(&node.needs);
        named.map(|(need, index)| (need.name.clone(), outputs(*index))).collect()
    }

    /// What a build is handed: of what it needs first, then of what that needs. Something is not made of outputs if it is not
    /// on any of the ways to them.
    fn handed(&self, index: usize) -> Vec<DependencyOutputs> {
        let mut ways: BTreeMap<usize, Way> = BTreeMap::new();
        let start = Way { depth: 0, name: String::new(), without: BTreeSet::new() };
        ways.insert(index, start);
        // Needs come before what needs them: backwards, all ways to a build are known when it comes.
        for place in (0..=index).rev() {
            let Some(Way { depth, without, .. }) = ways.get(&place).cloned() else { continue };
            let node = &self.graph.builds[place];
            for (need, to) in node.recipe.needs.iter().zip(&node.needs) {
                let name = if depth == 0 { &need.name } else { &self.graph.builds[*to].name };
                let without: BTreeSet<EnvironmentUse> = without.union(&need.except).copied().collect();
                let way = ways.entry(*to).or_insert_with(|| Way {
                    depth: depth + 1,
                    name: name.clone(),
                    without: without.clone(),
                });
                way.without = way.without.intersection(&without).copied().collect();
                if depth + 1 < way.depth {
                    (way.depth, way.name) = (depth + 1, name.clone());
                }
            }
        }
        ways.remove(&index);
        // As written where they are as near.
        let position = |place: &usize| self.graph.builds[index].needs.iter().position(|need| need == place);
        let mut ways: Vec<(usize, Way)> = ways.into_iter().collect();
        ways.sort_by_key(|(place, way)| (way.depth, position(place), std::cmp::Reverse(*place)));
        let handed = |(place, way): (usize, Way)| {
            let outputs = &self.made[place].as_ref()?.outputs;
            (!outputs.is_empty()).then(|| DependencyOutputs {
                name: way.name,
                outputs: outputs.clone(),
                except: way.without,
            })
        };
        ways.into_iter().filter_map(handed).collect()
    }

    fn on_over(&mut self, done: Result<(usize, Over), JoinError>) {
        let (task, over) = match done {
            Ok(over) => over,
            Err(error) => {
                // A fault in pony-run: its run is found as crashed by the next one. Nothing can be said of the others.
                self.console.note(format!("a build has come to no end: {error}"));
                self.exit = self.exit.worst(Exit::CannotRecord);
                self.stop("pony-run has failed");
                return;
            }
        };
        let index = self.places[task];
        let node = &self.graph.builds[index];
        self.exit = self.exit.worst(over.exit);
        let passed = over.exit == Exit::Ok;
        let Over { parcel, kept, exit, begun } = over;
        if !begun {
            let reason = match exit {
                Exit::Signal(_) => "it was stopped before that",
                _ => "it cannot be recorded, or not be read any more",
            };
            self.console.show(Some(&node.name), Event::NotBegun { reason: reason.to_owned() });
        }
        if let Some(parcel) = &parcel {
            if passed {
                let record = NeedRecord {
                    name: node.name.clone(),
                    package: parcel.record.package.clone(),
                    run_id: parcel.record.run_id.clone(),
                    revision: parcel.record.checkout.as_ref().map(|checkout| checkout.revision.clone()),
                    outcome: parcel.record.outcome,
                    reused: false,
                };
                let outputs = kept.iter().flat_map(|kept| kept.manifest.outputs.clone()).collect();
                let content = self.survey.facts[index].as_ref().and_then(|facts| {
                    let RunRecord { made_from, tip, .. } = &parcel.record;
                    content(made_from, node.recipe.source.as_ref(), tip.as_deref(), facts)
                });
                let ended = parcel.record.ended;
                self.made[index] =
                    Some(Made { record, content, outputs, ended, _found: kept.and_then(holding) });
            } else {
                self.causes[index] = Some(Cause::of(&node.name, parcel));
            }
        }
        if let Some(parcel) = parcel {
            self.send(Post::Result(Box::new(parcel)));
        }
        let gone = self.schedule.ended(task, passed);
        for task in gone {
            self.skip(self.places[task]);
        }
        if exit == Exit::CannotRecord {
            self.stop("runs cannot be recorded");
        } else if !passed && self.context.options.fail_fast {
            self.stop(&format!(
                "{} has not passed, and --fail-fast was asked for",
                self.graph.builds[index].name
            ));
        }
    }

    /// A build will not run, because of one that it needs.
    fn skip(&mut self, index: usize) {
        let node = &self.graph.builds[index];
        let cause = node.needs.iter().find_map(|need| self.causes[*need].clone());
        let among = Among { chain: self.chain.clone(), needs: self.needs(index), ..Among::default() };
        let now = self.console.clock.wall();
        let planned = plan_node(node, among, self.context, now);
        match (planned, cause) {
            (Ok(build), Some(cause)) => {
                self.causes[index] = Some(cause.clone());
                self.send(Post::Skipped(Box::new(build), cause));
            }
            (planned, _) => {
                let why = planned
                    .err()
                    .map_or("what it needs has not passed".to_owned(), |error| error.to_string());
                self.console.show(Some(&node.name), Event::NotBegun { reason: why });
            }
        }
    }

    fn send(&self, post: Post) {
        // The delivery goes on until nothing more comes; if it failed, what comes waits in its run folder.
        let _ = self.post.send(post);
    }
}

/// Where there is something to hold: very many builds may hand on nothing, and files that are open at once are few.
fn holding(found: StoredOutputs) -> Option<StoredOutputs> {
    (!found.manifest.outputs.is_empty()).then_some(found)
}

fn recalled(home: &Home, mut build: Build) -> Build {
    let memory = Memory::of(home, &build.job.slot());
    build.job.recall(&memory);
    build
}

fn tasks(graph: &Graph, survey: &Survey, places: &[usize]) -> Vec<Task> {
    let mut task_of = vec![None; graph.builds.len()];
    for (task, index) in places.iter().enumerate() {
        task_of[*index] = Some(task);
    }
    places
        .iter()
        .map(|index| {
            let node = &graph.builds[*index];
            Task {
                needs: node.needs.iter().filter_map(|need| task_of[*need]).collect(),
                weight: match node.recipe.weight {
                    Weight::All => usize::MAX,
                    Weight::Slots(count) => count.get(),
                },
                memory: node.recipe.memory.unwrap_or(0),
                locks: node.recipe.locks.clone(),
                usual: survey.expected[*index],
            }
        })
        .collect()
}

fn of_task(console: &Console, delivered: Result<Exit, JoinError>) -> Exit {
    delivered.unwrap_or_else(|error| {
        console.note(format!("the delivery has come to no end: {error}"));
        Exit::NotDelivered
    })
}
