//! Builds under way: each starts when its needs are built and the machine has room for it, and hands its outputs to those that need
//! it.

mod build;
mod cleanup;
mod delivery;
mod dependencies;
mod resources;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use jiff::Timestamp;
use pony_contexts::{cache::outputs::StoredOutputs, chain::DependencyOutputs};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};

use self::{
    build::Finished,
    delivery::{DeliveryItem, FailureCause, deliver},
    dependencies::dependencies,
};
pub(crate) use self::{
    build::{FinishedRun, remember},
    cleanup::prune,
    resources::Resources,
};
use crate::{
    delivery::deliverer::Deliverer,
    display::Console,
    exit::Exit,
    graph::Graph,
    home::Home,
    inspect::Inspection,
    jobserver::{Jobserver, Tokens},
    plan::{Plan, ReadyBuild, decision::Decision},
    process::signals::{Relay, Signals},
    recipe::DeferredValues,
    record::{
        NeedRecord, Outcome, RunRecord,
        event::{BuildHead, Event},
    },
    run::{Among, job::content},
    schedule::Schedule,
    server::Server,
    slots::{self, Memory},
};

/// What is to be built, and with what.
pub(crate) struct ExecutorInput<'e> {
    pub(crate) plan: &'e Plan,
    pub(crate) inspection: Inspection,
    pub(crate) resources: Resources,
    /// Carried by all results; none for one build by itself.
    pub(crate) chain: Option<String>,
    /// `--fail-fast`
    pub(crate) fail_fast: bool,
    pub(crate) deliverer: Deliverer,
    /// Who gets the results.
    pub(crate) servers: Vec<Server>,
    /// Earlier runs that wait for delivery: before any of these builds, so that the last result of a slot is the last one built.
    pub(crate) earlier: Vec<FinishedRun>,
}

/// What builds know of one that they need.
#[derive(Debug)]
struct NeedOutputs {
    record: NeedRecord,
    /// What it was built from, if that can be told.
    input_hash: Option<String>,
    outputs: BTreeMap<String, PathBuf>,
    ended: Timestamp,
    /// Nobody removes them until all is over.
    _found: Option<StoredOutputs>,
}

/// Builds under way.
struct Executor<'e> {
    home: Home,
    console: Console,
    signals: Signals,
    plan: &'e Plan,
    inspection: Inspection,
    resources: Resources,
    chain: Option<String>,
    fail_fast: bool,
    schedule: Schedule,
    /// The places in the graph of what is scheduled.
    places: Vec<usize>,
    /// Of each build of the graph, as soon as it is there.
    outputs: Vec<Option<NeedOutputs>>,
    /// Of each build of the graph that has not passed.
    causes: Vec<Option<FailureCause>>,
    running: JoinSet<(usize, Finished)>,
    deliveries: mpsc::UnboundedSender<DeliveryItem>,
    exit: Exit,
}

/// Runs the builds that were decided to run, and delivers their results.
pub(crate) async fn execute(input: ExecutorInput<'_>) -> Exit {
    let (deliveries, items) = mpsc::unbounded_channel();
    let (relay, signals) = Relay::new();
    // A signal that ends builds does not keep their results from being delivered.
    let apart = Deliverer { signals, ..input.deliverer.clone() };
    let mut delivery = tokio::spawn(deliver(apart, input.servers.clone(), items));
    let mut executor = Executor::new(input, deliveries);
    executor.take_reused();
    executor.announce();
    executor.drive().await;
    let Executor { console, mut signals, deliveries, exit, chain, .. } = executor;
    // Nothing more comes: the delivery ends when it is done.
    drop(deliveries);
    let delivered = loop {
        tokio::select! {
            biased;
            signal = signals.next() => relay.send(signal),
            delivered = &mut delivery => break delivered.unwrap_or_else(|error| {
                console.note(format!("internal error: the delivery task died: {error}"));
                Exit::NotDelivered
            }),
        }
    };
    if let Some(chain) = chain {
        console.show(None, Event::ChainEnded { chain });
    }
    exit.worst(delivered)
}

impl<'e> Executor<'e> {
    fn new(input: ExecutorInput<'e>, deliveries: mpsc::UnboundedSender<DeliveryItem>) -> Self {
        let ExecutorInput { plan, inspection, resources, chain, fail_fast, deliverer, earlier, .. } = input;
        for run in earlier {
            let _ = deliveries.send(DeliveryItem::Result(Box::new(run)));
        }
        let places = inspection.to_run();
        let expected: Vec<Option<f64>> = inspection.builds.iter().map(|build| build.expected).collect();
        Self {
            home: deliverer.home,
            console: deliverer.console,
            signals: deliverer.signals,
            schedule: resources.schedule(&plan.graph, &places, &expected),
            outputs: plan.graph.builds.iter().map(|_| None).collect(),
            causes: vec![None; plan.graph.builds.len()],
            plan,
            inspection,
            resources,
            chain,
            fail_fast,
            places,
            running: JoinSet::new(),
            deliveries,
            exit: Exit::Ok,
        }
    }

    fn graph(&self) -> &'e Graph {
        &self.plan.graph
    }

    /// Outputs of earlier runs are there before anything starts.
    fn take_reused(&mut self) {
        for (index, build) in self.inspection.builds.iter_mut().enumerate() {
            let Some(found) = build.reusable.take() else { continue };
            if !matches!(self.inspection.decisions[index], Decision::Reuse(_)) {
                continue;
            }
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
            let input_hash = build.input_hash.clone();
            let (outputs, found) = (manifest.outputs, holding(found));
            self.outputs[index] = Some(NeedOutputs { record, input_hash, outputs, ended, _found: found });
        }
    }

    fn announce(&mut self) {
        let Some(chain) = self.chain.clone() else { return };
        let graph = self.graph();
        let runs: BTreeSet<usize> = self.places.iter().copied().collect();
        let is_shown = |index: &usize| self.outputs[*index].is_some() || runs.contains(index);
        let head = |index: usize| {
            let node = &graph.builds[index];
            let needs = node.needs.iter().map(|need| graph.builds[*need].name.clone()).collect();
            BuildHead { name: node.name.clone(), needs, usual: self.inspection.builds[index].usual }
        };
        let builds = (0..graph.builds.len()).filter(is_shown).map(head).collect();
        self.console.show(None, Event::ChainStarted { chain, builds });
        for (node, outputs) in graph.builds.iter().zip(&self.outputs) {
            if let Some(NeedOutputs { record, ended, .. }) = outputs {
                let event = Event::Reused { run_id: record.run_id.clone(), ended: *ended };
                self.console.show(Some(&node.name), event);
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
                    self.stop("stopped before it started");
                }
                Some(done) = self.running.join_next() => self.on_finished(done),
            }
            self.start();
        }
    }

    /// Nothing more is started.
    fn stop(&mut self, reason: &str) {
        for task in self.schedule.stop() {
            self.not_started(self.places[task], reason);
        }
    }

    fn not_started(&self, index: usize, reason: &str) {
        let name = &self.graph().builds[index].name;
        self.console.show(Some(name), Event::NotBegun { reason: reason.to_owned() });
    }

    fn start(&mut self) {
        for task in self.schedule.start() {
            let index = self.places[task];
            match self.ready(task) {
                Ok((build, jobs)) => {
                    let (home, console, mut signals) =
                        (self.home.clone(), self.console.clone(), self.signals.clone());
                    let held = self.inspection.held.remove(&index);
                    self.running.spawn(async move {
                        // Before it begins: waiting is no part of what it took.
                        let _tokens = match tokens(jobs, &mut signals).await {
                            Ok(tokens) => tokens,
                            Err(exit) => return (task, Finished::not_begun(exit)),
                        };
                        let build = recalled(&home, build);
                        let held = held.or_else(|| slots::hold(&home, &build.job.slot()).ok().flatten());
                        let finished = build::build(&home, &console, &mut signals, &build).await;
                        drop(held);
                        (task, finished)
                    });
                }
                Err(why) => {
                    let name = &self.graph().builds[index].name;
                    self.console.note(format!("{name} cannot be started: {why}"));
                    self.running.spawn(async move { (task, Finished::not_begun(Exit::RecipeInvalid)) });
                }
            }
        }
    }

    /// A build with all that it had to wait for, and how many jobs it takes of the jobserver.
    fn ready(&self, task: usize) -> Result<(ReadyBuild, Option<(Jobserver, usize)>), String> {
        let index = self.places[task];
        let recipe = &self.graph().builds[index].recipe;
        let jobs = if recipe.uses_jobs { self.jobs(task) } else { 1 };
        let deferred = DeferredValues { jobs, needs: self.output_paths(index) };
        // One build by itself has the machine to itself.
        let offered = recipe.jobserver.unwrap_or(self.resources.slots > 1 && self.places.len() > 1);
        let jobserver = self.resources.jobserver.as_ref();
        let context = Among {
            chain: self.chain.clone(),
            needs: self.need_records(index),
            handed: self.dependency_outputs(index),
            kept_for: self.inspection.builds[index].facts.clone(),
            contents: self.need_hashes(index),
            makeflags: jobserver
                .filter(|_| offered)
                .map(|jobserver| jobserver.makeflags(&self.resources.make))
                .filter(|flags| !flags.is_empty()),
        };
        let now = self.console.clock.wall();
        let build = self.plan.begin(index, &deferred, context, now).map_err(|errors| errors.render(false))?;
        Ok((build, jobserver.cloned().map(|jobserver| (jobserver, jobs))))
    }

    /// The needs of a build, as far as they are there.
    fn need_records(&self, index: usize) -> Vec<NeedRecord> {
        let needs = self.graph().builds[index].needs.iter();
        needs.filter_map(|need| self.outputs[*need].as_ref()).map(|need| need.record.clone()).collect()
    }

    /// What each need of a build was built from, by its name there.
    fn need_hashes(&self, index: usize) -> BTreeMap<String, Option<String>> {
        let node = &self.graph().builds[index];
        let hash = |need: usize| self.outputs[need].as_ref().and_then(|need| need.input_hash.clone());
        let named = node.recipe.needs.iter().zip(&node.needs);
        named.map(|(need, place)| (need.name.clone(), hash(*place))).collect()
    }

    /// How many jobs a build that starts may run at once.
    fn jobs(&self, task: usize) -> usize {
        let alone = self.plan.context.machine.facts.cpus;
        let jobserver = self.resources.jobserver.as_ref();
        jobserver.map_or(alone, |jobserver| self.schedule.share(task, jobserver.jobs()))
    }

    /// `{{needs.NAME.OUTPUT}}` of a build.
    fn output_paths(&self, index: usize) -> BTreeMap<String, BTreeMap<String, String>> {
        let node = &self.graph().builds[index];
        let paths = |need: usize| {
            let outputs = self.outputs[need].iter().flat_map(|need| &need.outputs);
            outputs.map(|(name, path)| (name.clone(), path.display().to_string())).collect()
        };
        let named = node.recipe.needs.iter().zip(&node.needs);
        named.map(|(need, place)| (need.name.clone(), paths(*place))).collect()
    }

    /// The outputs that a build is handed.
    fn dependency_outputs(&self, index: usize) -> Vec<DependencyOutputs> {
        dependencies(self.graph(), index)
            .into_iter()
            .filter_map(|path| {
                let outputs = self.outputs[path.build].as_ref()?.outputs.clone();
                let handed = DependencyOutputs { name: path.name, outputs, except: path.except };
                (!handed.outputs.is_empty()).then_some(handed)
            })
            .collect()
    }

    fn on_finished(&mut self, done: Result<(usize, Finished), JoinError>) {
        let (task, finished) = match done {
            Ok(finished) => finished,
            Err(error) => {
                // A fault in pony-run: its run is found as crashed by the next one. Nothing can be said of the others.
                self.console.note(format!("internal error: a build task died: {error}"));
                self.exit = self.exit.worst(Exit::CannotRecord);
                self.stop("internal error in pony-run");
                return;
            }
        };
        let index = self.places[task];
        let Finished { run, kept, exit, begun } = finished;
        self.exit = self.exit.worst(exit);
        let passed = exit == Exit::Ok;
        if !begun {
            self.not_started(
                index,
                match exit {
                    Exit::Signal(_) => "stopped before it started",
                    _ => "it cannot be recorded, or its recipe can no longer be read",
                },
            );
        }
        if let Some(run) = run {
            if passed {
                self.outputs[index] = Some(self.need_outputs(index, &run.record, kept));
            } else {
                self.causes[index] = Some(FailureCause::of(&self.graph().builds[index].name, &run));
            }
            self.deliver(DeliveryItem::Result(Box::new(run)));
        }
        for skipped in self.schedule.ended(task, passed) {
            self.skip(self.places[skipped]);
        }
        if exit == Exit::CannotRecord {
            self.stop("runs cannot be recorded");
        } else if !passed && self.fail_fast {
            self.stop(&format!("{} failed (--fail-fast)", self.graph().builds[index].name));
        }
    }

    /// What those that need it know of a build that has passed.
    fn need_outputs(&self, index: usize, record: &RunRecord, kept: Option<StoredOutputs>) -> NeedOutputs {
        let node = &self.graph().builds[index];
        let input_hash = self.inspection.builds[index].facts.as_ref().and_then(|facts| {
            content(&record.made_from, node.recipe.source.as_ref(), record.tip.as_deref(), facts)
        });
        NeedOutputs {
            record: NeedRecord {
                name: node.name.clone(),
                package: record.package.clone(),
                run_id: record.run_id.clone(),
                revision: record.checkout.as_ref().map(|checkout| checkout.revision.clone()),
                outcome: record.outcome,
                reused: false,
            },
            input_hash,
            outputs: kept.iter().flat_map(|kept| kept.manifest.outputs.clone()).collect(),
            ended: record.ended,
            _found: kept.and_then(holding),
        }
    }

    /// A build will not run, because of one that it needs.
    fn skip(&mut self, index: usize) {
        let node = &self.graph().builds[index];
        let Some(cause) = node.needs.iter().find_map(|need| self.causes[*need].clone()) else {
            self.not_started(index, "a build that it needs has not passed");
            return;
        };
        self.causes[index] = Some(cause.clone());
        let mut build = self.plan.job(index, self.console.clock.wall());
        build.job.among =
            Among { chain: self.chain.clone(), needs: self.need_records(index), ..Among::default() };
        self.deliver(DeliveryItem::Skipped(Box::new(build), cause));
    }

    fn deliver(&self, item: DeliveryItem) {
        // The delivery goes on until nothing more comes; if it failed, the rest waits in run folders.
        let _ = self.deliveries.send(item);
    }
}

/// Waits for so many jobs of the jobserver, unless a signal comes.
async fn tokens(jobs: Option<(Jobserver, usize)>, signals: &mut Signals) -> Result<Option<Tokens>, Exit> {
    let Some((jobserver, count)) = jobs else { return Ok(None) };
    tokio::select! {
        tokens = jobserver.take(count) => Ok(Some(tokens)),
        signal = signals.next() => Err(Exit::Signal(signal)),
    }
}

/// Where there is something to hold: very many builds may have no outputs, and files that are open at once are few.
fn holding(found: StoredOutputs) -> Option<StoredOutputs> {
    (!found.manifest.outputs.is_empty()).then_some(found)
}

fn recalled(home: &Home, mut build: ReadyBuild) -> ReadyBuild {
    let memory = Memory::of(home, &build.job.slot());
    build.job.recall(&memory);
    build
}
