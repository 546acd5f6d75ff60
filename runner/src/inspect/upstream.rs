//! What upstream and the machine say of builds: the revision there, and the versions of tools. Several are asked at once.

use std::{collections::BTreeMap, sync::Arc};

use pony_contexts::{ClientInfo, ContextRequest};
use tokio::{sync::Semaphore, task::JoinSet};

use super::Inspector;
use crate::{
    exit::Exit,
    process::spawn::Environment,
    recipe::{Context, Recipe},
    run::{DirectShell, words_for},
    slots::Memory,
};

/// Questions that are asked at once.
const AT_ONCE: usize = 8;

/// A build of which something is asked.
pub(super) struct Question {
    /// Its place in the graph.
    pub(super) build: usize,
    pub(super) request: ContextRequest,
    /// What commands see.
    pub(super) environment: Environment,
    /// The revision is asked for too.
    pub(super) about_tip: bool,
}

/// What upstream and the machine say of one build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Upstream {
    /// The revision there.
    pub(super) tip: Option<String>,
    pub(super) facts: ClientInfo,
    /// Why nothing is said.
    pub(super) why: Option<String>,
    /// Because it is out of reach, or not to be asked.
    is_unreachable: bool,
}

impl Upstream {
    /// Where it is out of reach, what was built last counts.
    pub(super) fn or_last(mut self, memory: &Memory) -> Self {
        if self.is_unreachable && memory.tip.is_some() {
            self.tip.clone_from(&memory.tip);
            self.why = None;
        }
        self
    }
}

/// Whether there is anything to ask of a build.
pub(super) fn has_questions(recipe: &Recipe) -> bool {
    recipe.source.is_some() || !recipe.tools.is_empty() || matches!(recipe.context, Context::Virtualenv(_))
}

/// Asks all of them.
pub(super) async fn ask(
    inspector: &mut Inspector<'_>,
    questions: Vec<Question>,
) -> Result<BTreeMap<usize, Upstream>, Exit> {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut asking = JoinSet::new();
    for question in questions {
        let permits = Arc::clone(&permits);
        asking.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let build = question.build;
            let mut asker = DirectShell::new(question.environment.clone());
            (build, answer(question, &mut asker).await, asker.notes)
        });
    }
    let mut all = BTreeMap::new();
    loop {
        tokio::select! {
            done = asking.join_next() => match done {
                None => return Ok(all),
                Some(Ok((build, upstream, notes))) => {
                    for note in notes {
                        inspector.console.note(note);
                    }
                    all.insert(build, upstream);
                }
                Some(Err(error)) => inspector.console.note(format!("a question was not answered: {error}")),
            },
            signal = inspector.signals.next() => return Err(Exit::Signal(signal)),
        }
    }
}

async fn answer(question: Question, asker: &mut DirectShell) -> Upstream {
    let Question { mut request, about_tip, .. } = question;
    // The next pony-run is soon enough.
    request.network.retry_delays.clear();
    let mut upstream = Upstream::default();
    match pony_contexts::toolchain(&request, asker).await {
        Ok(facts) => upstream.facts = facts,
        Err(error) => upstream.why = Some(words_for(&error)),
    }
    if about_tip && request.source.as_ref().is_some_and(|source| source.pinned().is_none()) {
        match pony_contexts::tip(&request, asker).await {
            Ok(None) => {
                upstream.why = Some("its source does not tell whether it has changed".to_owned());
            }
            Ok(tip) => upstream.tip = tip,
            Err(error) => {
                upstream.is_unreachable = error.is_network_error();
                upstream.why = Some(words_for(&error));
            }
        }
    }
    upstream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_last_counts_only_where_upstream_is_out_of_reach() {
        let memory = Memory { tip: Some("old".to_owned()), ..Memory::default() };
        let upstream = |tip: Option<&str>, why: Option<&str>, is_unreachable| Upstream {
            tip: tip.map(str::to_owned),
            why: why.map(str::to_owned),
            is_unreachable,
            ..Upstream::default()
        };
        for (said, memory, expected) in [
            (upstream(Some("new"), None, false), &memory, upstream(Some("new"), None, false)),
            (upstream(None, Some("no branch"), false), &memory, upstream(None, Some("no branch"), false)),
            (upstream(None, Some("down"), true), &memory, upstream(Some("old"), None, true)),
            (upstream(None, Some("down"), true), &Memory::default(), upstream(None, Some("down"), true)),
        ] {
            assert_eq!(said.or_last(memory), expected);
        }
    }
}
