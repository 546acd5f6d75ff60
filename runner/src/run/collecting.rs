//! Steps that run no program: files are collected by a task of its own, as uploads or as what the build hands on.

use std::{path::PathBuf, sync::Arc};

use pony_contexts::cache::outputs::{OutputsManifest, StoredOutputs, store, workspace};

use super::{
    context::Version,
    job::Keep,
    outputs,
    phase::{Collected, Collecting, Phase, Run},
    state,
    supervisor::Stop,
    upload,
};
use crate::{
    recipe::{Action, Upload},
    record::{Outcome, StepRecord, event::Event},
};

impl Run<'_> {
    pub(super) fn start_collecting(&mut self, step: usize, tree: PathBuf) {
        let wanted = Arc::new(());
        let asked = Arc::downgrade(&wanted);
        let (started, began) = (self.clock.wall(), self.clock.now());
        let task = match &self.job.recipe.steps[step].action {
            Action::Upload(upload) => {
                let wanted = self.wanted(step, upload.clone());
                let into = self.folder.artifacts();
                let is_wanted = move || asked.strong_count() > 0;
                tokio::task::spawn_blocking(move || {
                    let collected = wanted.collect(&tree, &into, &is_wanted);
                    collected.map(Collected::Artifacts).map_err(|error| error.to_string())
                })
            }
            Action::Outputs(outputs) => {
                let outputs = outputs.clone();
                let Some(manifest) = self.manifest() else { return };
                let place = outputs::Place {
                    tree,
                    cache: self.job.cache.clone(),
                    room: self.job.tempdir.clone(),
                    whole: self.job.keep == Keep::Always,
                };
                tokio::task::spawn_blocking(move || {
                    let kept = outputs::keep(&outputs, &place, manifest);
                    kept.map(Collected::Outputs).map_err(|error| error.to_string())
                })
            }
            Action::Script(_) | Action::Program(_) => return,
        };
        self.phase = Phase::Collecting(Collecting { step, started, began, task, _wanted: wanted });
    }

    /// What an upload step is to collect.
    fn wanted(&self, step: usize, upload: Upload) -> upload::Wanted {
        let step = &self.job.recipe.steps[step];
        let before = self.recorder.so_far().steps().iter().flat_map(|record| {
            record.artifacts.iter().map(|artifact| (record.name.clone(), artifact.clone()))
        });
        upload::Wanted {
            upload,
            step: step.name.clone(),
            folder: step.cwd.clone().unwrap_or_default(),
            before: before.collect(),
            redactor: self.redactor.clone(),
        }
    }

    /// The copying may go on for one more file, for nobody.
    pub(super) fn stop_collecting(&mut self, why: Stop) {
        let phase = std::mem::replace(&mut self.phase, Phase::Between);
        let Phase::Collecting(Collecting { step, started, began, .. }) = phase else { return };
        let record = StepRecord {
            started: Some(started),
            duration: self.since(began),
            ..self.blank(step, why.outcome(), -1)
        };
        self.add(record);
        self.tell(state::Input::Ended(why.outcome()));
    }

    pub(super) fn on_collected(&mut self, result: Result<Collected, String>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Between);
        let Phase::Collecting(Collecting { step, started, began, .. }) = phase else { return };
        let (outcome, status, reason, artifacts) = match result {
            Ok(Collected::Artifacts(artifacts)) => (Outcome::Passed, 0, None, artifacts),
            Ok(Collected::Outputs(kept)) => {
                self.hand_on(kept);
                (Outcome::Passed, 0, None, Vec::new())
            }
            Err(error) => (Outcome::Failed, 1, Some(error), Vec::new()),
        };
        let (description, hidden) = match &self.job.recipe.steps[step].action {
            Action::Upload(upload) => (upload.description.clone(), !upload.visible),
            Action::Outputs(_) | Action::Script(_) | Action::Program(_) => (None, false),
        };
        let record = StepRecord {
            reason,
            artifacts,
            description,
            hidden,
            started: Some(started),
            duration: self.since(began),
            ..self.blank(step, outcome, status)
        };
        self.add(record);
        self.tell(state::Input::Ended(outcome));
    }

    /// What is to be known of what the build hands on.
    fn manifest(&self) -> Option<OutputsManifest> {
        let Version { checkout, tip } = &self.version;
        let revision = checkout.as_ref().map(|checkout| checkout.revision.as_str());
        self.job.manifest(tip.as_deref(), revision, self.clock.wall())
    }

    /// Those that need a build without outputs need to know that it passed.
    pub(super) fn keep_nothing(&mut self) {
        if !self.job.recipe.outputs.is_empty() {
            return;
        }
        let Some(manifest) = self.manifest() else { return };
        let room = workspace(&self.job.cache, &self.job.name, &self.job.run_id);
        match store(&self.job.cache, &room, manifest, false) {
            Ok(kept) => self.hand_on(kept),
            Err(error) => {
                let text =
                    format!("it cannot be noted that it passed, so that it will be built again: {error}");
                self.recorder.event(Event::Note { text });
            }
        }
    }

    fn hand_on(&mut self, kept: StoredOutputs) {
        let outputs = kept.manifest.outputs.iter();
        let outputs = outputs.map(|(name, path)| (name.clone(), path.display().to_string())).collect();
        self.recorder.event(Event::Outputs { outputs });
        self.kept = Some(kept);
    }
}
