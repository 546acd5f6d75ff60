//! What becomes of each build of the graph: built, reused or skipped, and why. Pure.

use super::if_needed::Rule;
use crate::graph::Graph;

/// What becomes of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It runs.
    Build(BuildReason),
    /// The outputs of this earlier run are used.
    Reuse(String),
    /// It does not run.
    Skip(SkipReason),
}

/// Why a build runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildReason {
    /// Its recipe stands on the command line.
    Requested,
    /// So says `--if-needed`.
    Needed(Rule),
    /// `--rebuild`
    Rebuild,
    /// Nobody can tell whether it has changed: why.
    Unknown(String),
    /// This one runs, which it needs.
    Dependency(String),
    /// No earlier run made what would be built now.
    NothingToReuse,
}

/// Why a build does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SkipReason {
    /// Nothing that runs needs it.
    NotNeeded,
    /// It would fail as it did before, or something that it needs would.
    Blocked(String),
}

impl Decision {
    /// Why.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Build(BuildReason::Requested) => "requested".to_owned(),
            Self::Build(BuildReason::Needed(rule)) => rule.to_string(),
            Self::Build(BuildReason::Rebuild) => "--rebuild".to_owned(),
            Self::Build(BuildReason::Dependency(name)) => format!("{name} is rebuilt"),
            Self::Build(BuildReason::NothingToReuse) => "no earlier build to reuse".to_owned(),
            Self::Reuse(run_id) => format!("built by run {run_id}"),
            Self::Skip(SkipReason::NotNeeded) => "not needed".to_owned(),
            Self::Build(BuildReason::Unknown(why)) | Self::Skip(SkipReason::Blocked(why)) => why.clone(),
        }
    }
}

/// What the command line says of one build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Request {
    /// Its recipe stands there.
    pub(crate) requested: bool,
    /// `--if-needed`
    pub(crate) if_needed: bool,
    /// `--rebuild` names it.
    pub(crate) rebuild: bool,
}

impl Request {
    /// Outputs of an earlier run may serve, if that run built what would be built now: upstream is asked for its tip.
    pub(crate) fn may_reuse(self) -> bool {
        !self.rebuild && (!self.requested || self.if_needed)
    }

    /// Its outputs may serve later runs. A build that `--rebuild` repeats counts as a different one, though nothing tells
    /// them apart.
    pub(crate) fn is_comparable(self) -> bool {
        !self.rebuild || self.requested
    }
}

/// A build that has failed and has not changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blocker {
    /// Its place in the graph.
    pub(crate) build: usize,
    /// How it ended, and that nothing has changed.
    pub(crate) why: String,
}

impl Blocker {
    /// As it is said of the build at `index`, which needs it or is it.
    pub(crate) fn reason(&self, graph: &Graph, index: usize) -> String {
        if self.build == index {
            return self.why.clone();
        }
        format!("its dependency {} {}", graph.builds[self.build].name, self.why)
    }
}

/// What is looked at next to decide about a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// Nothing: something that it needs cannot be had.
    Blocked(Blocker),
    /// Nothing: it is built.
    Requested,
    /// The rules of `--if-needed`.
    IfNeeded,
    /// Whether it would fail as it did before.
    WouldFailAgain,
    /// Nothing: that depends on who needs it.
    Open,
}

impl Question {
    /// About a build of which outputs are there or not, where one that it needs may be blocked.
    pub(crate) fn of(request: Request, has_reusable: bool, blocker: Option<Blocker>) -> Self {
        match blocker {
            Some(blocker) if !has_reusable => Self::Blocked(blocker),
            _ if request.requested && !request.if_needed => Self::Requested,
            _ if request.requested => Self::IfNeeded,
            _ if request.if_needed && !request.rebuild && !has_reusable => Self::WouldFailAgain,
            _ => Self::Open,
        }
    }
}

/// What was found out about a build, whoever needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Why it is built even if nothing needs it.
    pub(crate) reason: Option<BuildReason>,
    /// Why its outputs cannot be had.
    pub(crate) blocker: Option<Blocker>,
    /// The run whose outputs can be reused.
    pub(crate) reusable: Option<String>,
    /// Why nobody can tell whether it has changed.
    pub(crate) unknown: Option<String>,
    /// `--rebuild` names it.
    pub(crate) rebuild: bool,
}

/// Builds what has a reason, and of what those builds need whatever cannot be reused; skips the rest. One finding a build.
pub(crate) fn decide(graph: &Graph, findings: &[Finding]) -> Vec<Decision> {
    let mut is_needed = vec![false; findings.len()];
    let mut runs = vec![false; findings.len()];
    // Those that need others come after them.
    for (index, (node, finding)) in graph.builds.iter().zip(findings).enumerate().rev() {
        is_needed[index] |= finding.reason.is_some();
        runs[index] = is_needed[index] && (finding.reason.is_some() || finding.reusable.is_none());
        if is_needed[index] {
            for need in &node.needs {
                is_needed[*need] = true;
            }
        }
    }
    let decide = |(index, finding): (usize, &Finding)| {
        let dependency = graph.builds[index].needs.iter().find(|need| runs[**need]);
        match (finding, dependency) {
            _ if !runs[index] => match (&finding.reusable, &finding.blocker) {
                (Some(run_id), _) if is_needed[index] => Decision::Reuse(run_id.clone()),
                (_, Some(blocker)) => Decision::Skip(SkipReason::Blocked(blocker.reason(graph, index))),
                (_, None) => Decision::Skip(SkipReason::NotNeeded),
            },
            (Finding { reason: Some(reason), .. }, _) => Decision::Build(reason.clone()),
            (Finding { rebuild: true, .. }, _) => Decision::Build(BuildReason::Rebuild),
            (Finding { unknown: Some(why), .. }, _) => Decision::Build(BuildReason::Unknown(why.clone())),
            (_, Some(need)) => Decision::Build(BuildReason::Dependency(graph.builds[*need].name.clone())),
            (_, None) => Decision::Build(BuildReason::NothingToReuse),
        }
    };
    findings.iter().enumerate().map(decide).collect()
}

/// Which builds `--rebuild` names: by their name, without or with their settings, or by their package; all where it names none.
///
/// # Errors
/// A name that is of no build.
pub(crate) fn rebuilt(graph: &Graph, names: &[String]) -> Result<Vec<bool>, NoSuchBuild> {
    let mut rebuilt = vec![false; graph.builds.len()];
    for name in names {
        let mut found = false;
        for (node, rebuilt) in graph.builds.iter().zip(&mut rebuilt) {
            let bare = node.name.split(['[', '(']).next().unwrap_or_default();
            if name.is_empty() || *name == node.name || name == bare || *name == node.recipe.package {
                (*rebuilt, found) = (true, true);
            }
        }
        if !found {
            let known = graph.builds.iter().map(|node| node.name.as_str()).take(20).collect::<Vec<_>>();
            return Err(NoSuchBuild { name: name.clone(), known: known.join(", ") });
        }
    }
    Ok(rebuilt)
}

/// `--rebuild` names no build.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no build is called `{name}` (--rebuild={name}); the builds are {known}")]
pub(crate) struct NoSuchBuild {
    name: String,
    known: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::fixture::graph;

    /// zlib ← png ← app
    fn chain() -> Graph {
        graph(&[("zlib", ""), ("png", "needs: [zlib]"), ("app", "needs: [png]")])
    }

    fn nothing() -> Finding {
        Finding::default()
    }

    fn requested() -> Finding {
        Finding { reason: Some(BuildReason::Requested), ..nothing() }
    }

    fn reusable(run_id: &str) -> Finding {
        Finding { reusable: Some(run_id.to_owned()), ..nothing() }
    }

    #[test]
    fn what_becomes_of_each_build_of_a_chain() {
        let graph = chain();
        let blocked = |build| Finding {
            blocker: Some(Blocker { build, why: "ended as failed and upstream is still at abc".to_owned() }),
            ..nothing()
        };
        for (zlib, png, app, expected) in [
            // Nothing is there.
            (
                nothing(),
                nothing(),
                requested(),
                ["Build: no earlier build to reuse", "Build: zlib is rebuilt", "Build: requested"],
            ),
            // All is there.
            (
                reusable("1"),
                reusable("2"),
                requested(),
                ["Reuse: built by run 1", "Reuse: built by run 2", "Build: requested"],
            ),
            // The nearest is missing, what it needs is there.
            (
                reusable("1"),
                nothing(),
                requested(),
                ["Reuse: built by run 1", "Build: no earlier build to reuse", "Build: requested"],
            ),
            (
                Finding { rebuild: true, ..nothing() },
                nothing(),
                requested(),
                ["Build: --rebuild", "Build: zlib is rebuilt", "Build: requested"],
            ),
            (
                Finding { unknown: Some("upstream cannot be reached".to_owned()), ..nothing() },
                nothing(),
                requested(),
                ["Build: upstream cannot be reached", "Build: zlib is rebuilt", "Build: requested"],
            ),
            // Nothing is requested: nothing runs, whatever is there.
            (
                reusable("1"),
                nothing(),
                nothing(),
                ["Skip: not needed", "Skip: not needed", "Skip: not needed"],
            ),
            // One that failed before blocks those that need it.
            (
                blocked(0),
                blocked(0),
                blocked(0),
                [
                    "Skip: ended as failed and upstream is still at abc",
                    "Skip: its dependency zlib ended as failed and upstream is still at abc",
                    "Skip: its dependency zlib ended as failed and upstream is still at abc",
                ],
            ),
            (
                reusable("1"),
                reusable("2"),
                Finding { reason: Some(BuildReason::Needed(Rule::Never)), ..nothing() },
                ["Reuse: built by run 1", "Reuse: built by run 2", "Build: never built here"],
            ),
        ] {
            let decisions = decide(&graph, &[zlib, png, app]);
            let show = |decision: &Decision| {
                let word = match decision {
                    Decision::Build(_) => "Build",
                    Decision::Reuse(_) => "Reuse",
                    Decision::Skip(_) => "Skip",
                };
                format!("{word}: {}", decision.why())
            };
            assert_eq!(decisions.iter().map(show).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_is_looked_at_to_decide() {
        let request = |requested, if_needed, rebuild| Request { requested, if_needed, rebuild };
        let blocker = || Some(Blocker { build: 0, why: String::new() });
        for (request, has_reusable, blocker, expected) in [
            (request(true, false, false), false, None, Question::Requested),
            (request(true, false, true), true, None, Question::Requested),
            (request(true, true, false), false, None, Question::IfNeeded),
            (request(true, true, true), true, None, Question::IfNeeded),
            (request(false, false, false), false, None, Question::Open),
            (request(false, false, true), false, None, Question::Open),
            (request(false, true, false), false, None, Question::WouldFailAgain),
            (request(false, true, false), true, None, Question::Open),
            (request(false, true, true), false, None, Question::Open),
            (request(true, false, false), false, blocker(), Question::Blocked(blocker().unwrap())),
            (request(true, true, false), true, blocker(), Question::IfNeeded),
        ] {
            assert_eq!(Question::of(request, has_reusable, blocker), expected, "{request:?} {has_reusable}");
        }
        for (request, may_reuse, is_comparable) in [
            (request(false, false, false), true, true),
            (request(false, true, false), true, true),
            (request(true, false, false), false, true),
            (request(true, true, false), true, true),
            (request(false, false, true), false, false),
            (request(true, true, true), false, true),
        ] {
            assert_eq!(
                (request.may_reuse(), request.is_comparable()),
                (may_reuse, is_comparable),
                "{request:?}"
            );
        }
    }

    #[test]
    fn builds_are_rebuilt_by_name_or_package() {
        let graph = graph(&[
            ("zlib", "variables: {shared: yes}"),
            ("app", "package: demo\nneeds: [{recipe: zlib, with: {shared: no}}]"),
        ]);
        let rebuilt = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            rebuilt(&graph, &names).map_err(|error| error.to_string())
        };
        for (names, expected) in [
            (&[][..], vec![false, false]),
            (&[""], vec![true, true]),
            (&["zlib"], vec![true, false]),
            (&["zlib(shared=no)"], vec![true, false]),
            (&["app", "zlib"], vec![true, true]),
        ] {
            assert_eq!(rebuilt(names), Ok(expected), "{names:?}");
        }
        assert_eq!(
            rebuilt(&["app", "zlob"]).unwrap_err(),
            "no build is called `zlob` (--rebuild=zlob); the builds are zlib(shared=no), app"
        );
    }
}
