//! Whether a build is needed: the rules of `--if-needed`, in order. Pure: `inspect` asks upstream and the server.

use std::{fmt, time::Duration};

use jiff::Timestamp;

use crate::{
    inputs::Ingredients,
    record::Outcome,
    slots::{LastRun, Memory},
    words,
};

/// The rule that decided, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// `--force`.
    Forced,
    /// Another run of this slot has not ended yet.
    UnderWay,
    /// The slot was never built here.
    Never,
    /// The recipe has changed.
    Recipe,
    /// A build that it needs is another one now.
    Need(String),
    /// A server keeps the slot for a build of ours that did not come to run.
    Reserved,
    /// The machine has changed, from this to that.
    Machine(String, String),
    /// The last run ended like this, which says nothing of the code.
    Inconclusive(Outcome, Duration),
    /// The last run ended like this; it is tried again after so long.
    Wait(Outcome, Duration),
    /// Upstream has something new: from this to that.
    Moved(Option<String>, String),
    /// What is new is in none of the files that count.
    Unwatched(String),
    /// The last run is so long ago.
    Old(Duration),
    /// Nothing of all this.
    Unchanged(String),
    /// It has no source, and what it needs is what it was.
    SameNeeds,
    /// There is no telling whether the source has changed; only the server can be asked.
    Untold,
    /// Upstream cannot be asked, so nothing new could be fetched either.
    Unreachable(String),
    /// Upstream refuses; the run will say so.
    Refused(String),
    /// The server says that somebody asked for a build.
    Requested(String),
    /// The server's word, where nothing else can tell.
    Server(bool, String),
    /// Nothing can tell: not even the server can be asked.
    NobodyTells,
}

impl Rule {
    /// Whether it says to build.
    pub fn builds(&self) -> bool {
        match self {
            Self::Forced
            | Self::Never
            | Self::Recipe
            | Self::Need(_)
            | Self::Reserved
            | Self::Machine(..)
            | Self::Inconclusive(..)
            | Self::Moved(..)
            | Self::Old(_)
            | Self::Refused(_)
            | Self::Requested(_)
            | Self::NobodyTells => true,
            Self::UnderWay
            | Self::Wait(..)
            | Self::Unwatched(_)
            | Self::Unchanged(_)
            | Self::SameNeeds
            | Self::Untold
            | Self::Unreachable(_) => false,
            Self::Server(build, _) => *build,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: &Duration| words::duration(time.as_secs_f64());
        match self {
            Self::Forced => f.write_str("--force"),
            Self::UnderWay => f.write_str("another run of it is under way"),
            Self::Never => f.write_str("never built here"),
            Self::Recipe => f.write_str("its recipe has changed"),
            Self::Need(name) => write!(f, "its dependency {name} has changed"),
            Self::Reserved => f.write_str("an earlier attempt never ran"),
            Self::Machine(from, to) => write!(f, "this machine has changed from {from} to {to}"),
            Self::Inconclusive(outcome, ago) => {
                write!(f, "the last run ended as {}, {} ago", outcome.word(), time(ago))
            }
            Self::Wait(outcome, left) => {
                write!(f, "the last run ended as {}; next try in {}", outcome.word(), time(left))
            }
            Self::Moved(Some(from), to) => {
                write!(f, "upstream has moved from {} to {}", short(from), short(to))
            }
            Self::Moved(None, to) => write!(f, "upstream is at {}", short(to)),
            Self::Unwatched(to) => {
                write!(f, "upstream has moved to {}, but no watched file has changed", short(to))
            }
            Self::Old(ago) => write!(f, "the last run was {} ago", time(ago)),
            Self::Unchanged(tip) => write!(f, "upstream is still at {}", short(tip)),
            Self::SameNeeds => f.write_str("its dependencies have not changed"),
            Self::Untold => f.write_str("no source to watch; only the server can request a build"),
            Self::Unreachable(why) => write!(f, "upstream cannot be reached: {why}"),
            Self::Refused(why) => write!(f, "upstream refuses: {why}"),
            Self::NobodyTells => f.write_str("the server cannot be asked, and nothing else tells"),
            // By the first words: what follows repeats the slot, in Python's words.
            Self::Server(true, said) if said.starts_with("no build recorded") => {
                f.write_str("the server has no result from this machine")
            }
            Self::Requested(said) | Self::Server(_, said) => write!(f, "the server says: {said}"),
        }
    }
}

fn short(tip: &str) -> String {
    words::plain(tip).chars().take(12).collect()
}

/// The rules that need nobody to be asked. Nothing if upstream decides.
pub fn before_asking(
    memory: &Memory,
    now_made_from: &Ingredients,
    now: Timestamp,
    retry_after: Duration,
) -> Option<Rule> {
    let Some(LastRun { outcome, ended, made_from, .. }) = &memory.last else { return Some(Rule::Never) };
    if memory.reserved {
        return Some(Rule::Reserved);
    }
    if made_from.recipe != now_made_from.recipe {
        return Some(Rule::Recipe);
    }
    let mut needs = now_made_from.needs.iter();
    if let Some((name, _)) = needs.find(|(name, run_id)| made_from.needs.get(*name) != Some(*run_id)) {
        return Some(Rule::Need(name.clone()));
    }
    if made_from.machine != now_made_from.machine {
        return Some(Rule::Machine(made_from.machine.clone(), now_made_from.machine.clone()));
    }
    let ago = since(*ended, now);
    match outcome {
        Outcome::Cancelled => Some(Rule::Inconclusive(*outcome, ago)),
        Outcome::InfraError | Outcome::Crashed => Some(match retry_after.checked_sub(ago) {
            Some(left) if !left.is_zero() => Rule::Wait(*outcome, left),
            _ => Rule::Inconclusive(*outcome, ago),
        }),
        Outcome::Passed | Outcome::Failed | Outcome::TimedOut | Outcome::Quiet | Outcome::Skipped => None,
    }
}

/// The rule when upstream's tip is known, or cannot be told. What is new has still to be looked at where not every
/// file counts.
pub fn of_tip(memory: &Memory, tip: Option<&str>, force_every: Option<Duration>, now: Timestamp) -> Rule {
    let built = memory.tip.as_deref();
    let is_new = tip.is_some_and(|tip| !built.is_some_and(|built| is_same(built, tip)));
    if let (true, Some(tip)) = (is_new, tip) {
        return Rule::Moved(built.map(str::to_owned), tip.to_owned());
    }
    of_age(memory, force_every, now)
        .unwrap_or_else(|| tip.map_or(Rule::Untold, |tip| Rule::Unchanged(tip.to_owned())))
}

/// Whether `tip` is what was built: the same, or the first digits of a commit's id.
fn is_same(built: &str, tip: &str) -> bool {
    const ID: usize = 40;
    built == tip || built.len() >= ID && tip.len() >= 4 && built.starts_with(tip)
}

/// The last run may be too long ago.
pub fn of_age(memory: &Memory, force_every: Option<Duration>, now: Timestamp) -> Option<Rule> {
    let ago = memory.last.as_ref().map(|last| since(last.ended, now))?;
    force_every.filter(|limit| ago >= *limit).map(|_| Rule::Old(ago))
}

/// How the last run ended, where it did not pass and nothing has changed since: running it again would end in the same way.
pub fn would_fail_again(
    memory: &Memory,
    inputs: &Ingredients,
    tip: Option<&str>,
    force_every: Option<Duration>,
    retry_after: Duration,
    now: Timestamp,
) -> Option<String> {
    let last = memory.last.as_ref().filter(|last| last.outcome != Outcome::Passed)?;
    let rule = before_asking(memory, inputs, now, retry_after)
        .unwrap_or_else(|| of_tip(memory, tip, force_every, now));
    (!rule.builds()).then(|| format!("ended as {} and {rule}", last.outcome.word()))
}

/// Whether the server is asked at all. To be asked takes a request away, and reserves: not for a mere explanation, nor for a run that
/// reports to nobody (not `reports`), but where nobody else can tell.
pub fn asks_server(rule: &Rule, explain: bool, reports: bool) -> bool {
    !explain && *rule != Rule::UnderWay && (reports || *rule == Rule::Untold)
}

/// Whether the server keeps the slot for this run, if it says to build.
pub fn reserves(rule: &Rule, reports: bool) -> bool {
    reports && (rule.builds() || *rule == Rule::Untold)
}

/// The rule when the server cannot be asked.
pub fn without_server(rule: Rule) -> Rule {
    if rule == Rule::Untold { Rule::NobodyTells } else { rule }
}

/// The rule when the server has answered. Its word counts where nobody else has one; else only that a build was asked for:
/// that a result is old or bad is known here as well. A reservation that a run of ours may have left without delivering its
/// result (`reserved_by_us`) says nothing.
pub fn of_server(rule: Rule, build: bool, said: String, reserved_by_us: bool) -> Rule {
    // By their first words: others repeat the slot, in whose names anything may stand.
    let is_request = build && said.starts_with("build requested");
    let is_reserved = !build && said.starts_with("may be in build") && !reserved_by_us;
    match rule {
        Rule::Forced => Rule::Forced,
        // By the same slot's client elsewhere: another user of this machine.
        rule if rule.builds() && is_reserved => Rule::Server(false, said),
        rule if rule.builds() => rule,
        Rule::UnderWay => Rule::UnderWay,
        _ if is_request => Rule::Requested(said),
        Rule::Untold => Rule::Server(build, said),
        rule => rule,
    }
}

/// A clock that was put back makes no time negative.
fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const ID: &str = "abcdef0123456789abcdef0123456789abcdef01";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn ingredients() -> Ingredients {
        Ingredients::new("package: demo", "linux-x86_64 Debian 12".to_owned())
    }

    fn memory(outcome: Outcome) -> Memory {
        let last = LastRun { outcome, ended: at(0), made_from: ingredients() };
        Memory { last: Some(last), tip: Some(ID.to_owned()), ..Memory::default() }
    }

    #[test]
    fn what_is_known_here_decides_first() {
        let before = |memory: &Memory, second| before_asking(memory, &ingredients(), at(second), HOUR);
        assert_eq!(before(&Memory::default(), 0), Some(Rule::Never));
        assert_eq!(before(&memory(Outcome::Passed), 10), None);
        assert_eq!(before(&memory(Outcome::Failed), 10), None);
        let ago = Duration::from_secs;
        assert_eq!(
            before(&memory(Outcome::Cancelled), 10),
            Some(Rule::Inconclusive(Outcome::Cancelled, ago(10)))
        );
        assert_eq!(
            before(&memory(Outcome::InfraError), 600),
            Some(Rule::Wait(Outcome::InfraError, ago(3000)))
        );
        assert_eq!(
            before(&memory(Outcome::Crashed), 3600),
            Some(Rule::Inconclusive(Outcome::Crashed, ago(3600)))
        );
        // A clock that was put back.
        assert_eq!(before(&memory(Outcome::InfraError), -99), Some(Rule::Wait(Outcome::InfraError, HOUR)));
    }

    #[test]
    fn another_recipe_or_machine_is_another_build() {
        let mut other = ingredients();
        other.machine = "linux-x86_64 Debian 13".to_owned();
        let infra = memory(Outcome::InfraError);
        let rule = before_asking(&infra, &other, at(1), HOUR).unwrap();
        assert_eq!(
            rule.to_string(),
            "this machine has changed from linux-x86_64 Debian 12 to linux-x86_64 Debian 13"
        );
        let other = Ingredients::new("package: demo2", String::new());
        assert_eq!(before_asking(&infra, &other, at(1), HOUR), Some(Rule::Recipe));
    }

    #[test]
    fn a_tip_is_compared_with_the_one_that_was_built() {
        let memory = memory(Outcome::Failed);
        let of = |tip, every| of_tip(&memory, tip, every, at(7200));
        assert_eq!(of(Some(ID), None), Rule::Unchanged(ID.into()));
        assert_eq!(of(Some("abcd"), None), Rule::Unchanged("abcd".into()));
        assert_eq!(of(Some("abce"), None), Rule::Moved(Some(ID.into()), "abce".into()));
        assert_eq!(of(Some(ID), Some(HOUR)), Rule::Old(2 * HOUR));
        assert_eq!(of(Some(ID), Some(3 * HOUR)), Rule::Unchanged(ID.into()));
        // Revision numbers are no beginnings of each other.
        let svn = Memory { tip: Some("123".into()), ..Memory::default() };
        assert_eq!(of_tip(&svn, Some("12"), None, at(0)), Rule::Moved(Some("123".into()), "12".into()));
        assert_eq!(of(None, None), Rule::Untold);
        assert_eq!(of_tip(&Memory::default(), Some("x"), None, at(0)), Rule::Moved(None, "x".into()));
    }

    #[test]
    fn what_failed_and_has_not_changed_would_fail_again() {
        let again = |memory: &Memory, tip, every| {
            would_fail_again(memory, &ingredients(), tip, every, HOUR, at(7200))
        };
        assert_eq!(again(&Memory::default(), Some(ID), None), None);
        assert_eq!(again(&memory(Outcome::Passed), Some(ID), None), None);
        assert_eq!(
            again(&memory(Outcome::Failed), Some(ID), None).unwrap(),
            "ended as failed and upstream is still at abcdef012345"
        );
        assert_eq!(again(&memory(Outcome::Failed), Some("new"), None), None);
        assert_eq!(again(&memory(Outcome::Failed), Some(ID), Some(HOUR)), None);
        // Not the code's fault, and long enough ago.
        assert_eq!(again(&memory(Outcome::InfraError), Some(ID), None), None);
        assert_eq!(again(&Memory { reserved: true, ..memory(Outcome::Failed) }, Some(ID), None), None);
    }

    #[test]
    fn who_asks_the_server_and_who_reserves() {
        for (rule, explain, reports, asks, reserve) in [
            (Rule::Never, false, true, true, true),
            (Rule::Never, true, true, false, true),
            (Rule::Never, false, false, false, false),
            (Rule::Unchanged(String::new()), false, true, true, false),
            (Rule::Unchanged(String::new()), false, false, false, false),
            (Rule::Untold, false, true, true, true),
            (Rule::Untold, false, false, true, false),
            (Rule::UnderWay, false, true, false, false),
        ] {
            assert_eq!(
                (asks_server(&rule, explain, reports), reserves(&rule, reports)),
                (asks, reserve),
                "{rule}"
            );
        }
        assert!(without_server(Rule::Untold).builds());
        assert_eq!(without_server(Rule::SameNeeds), Rule::SameNeeds);
    }

    #[test]
    fn rules_in_words() {
        let seconds = Duration::from_secs;
        for (rule, builds, words) in [
            (Rule::Forced, true, "--force"),
            (Rule::UnderWay, false, "another run of it is under way"),
            (Rule::Never, true, "never built here"),
            (Rule::Recipe, true, "its recipe has changed"),
            (Rule::Need("zlib".into()), true, "its dependency zlib has changed"),
            (Rule::Reserved, true, "an earlier attempt never ran"),
            (Rule::Machine("a".into(), "b".into()), true, "this machine has changed from a to b"),
            (
                Rule::Inconclusive(Outcome::Cancelled, seconds(5)),
                true,
                "the last run ended as cancelled, 5.0 s ago",
            ),
            (
                Rule::Wait(Outcome::InfraError, seconds(5)),
                false,
                "the last run ended as infra-error; next try in 5.0 s",
            ),
            (
                Rule::Moved(Some("0123456789abcdef".into()), "1".into()),
                true,
                "upstream has moved from 0123456789ab to 1",
            ),
            (Rule::Moved(None, "1".into()), true, "upstream is at 1"),
            (Rule::Unwatched("1".into()), false, "upstream has moved to 1, but no watched file has changed"),
            (Rule::Old(seconds(5)), true, "the last run was 5.0 s ago"),
            (Rule::Unchanged("1".into()), false, "upstream is still at 1"),
            (Rule::SameNeeds, false, "its dependencies have not changed"),
            (Rule::Untold, false, "no source to watch; only the server can request a build"),
            (Rule::Unreachable("x".into()), false, "upstream cannot be reached: x"),
            (Rule::Refused("x".into()), true, "upstream refuses: x"),
            (Rule::Requested("build requested".into()), true, "the server says: build requested"),
            (
                Rule::Server(true, "no build recorded for frozenset(['x']); build!".into()),
                true,
                "the server has no result from this machine",
            ),
            (Rule::NobodyTells, true, "the server cannot be asked, and nothing else tells"),
            (Rule::Server(false, "build up to date".into()), false, "the server says: build up to date"),
        ] {
            assert_eq!((rule.builds(), rule.to_string().as_str()), (builds, words));
        }
    }

    #[test]
    fn the_server_is_heard_where_it_knows_more() {
        let unchanged = || Rule::Unchanged("x".into());
        assert_eq!(
            of_server(unchanged(), true, "build requested".into(), false),
            Rule::Requested("build requested".into())
        );
        assert_eq!(
            of_server(unchanged(), true, "last build was unsuccessful; go!".into(), false),
            unchanged()
        );
        assert!(of_server(Rule::Untold, true, "no build recorded".into(), false).builds());
        assert!(!of_server(Rule::Untold, false, "build up to date".into(), false).builds());
        assert!(!of_server(Rule::Never, false, "may be in build now".into(), false).builds());
        assert_eq!(of_server(Rule::Forced, false, "may be in build now".into(), false), Rule::Forced);
        assert_eq!(of_server(Rule::Recipe, false, "build up to date".into(), false), Rule::Recipe);
        assert_eq!(of_server(Rule::Never, false, "may be in build now".into(), true), Rule::Never);
        let named = "no build recorded for frozenset(['__package=requests']); build!";
        assert_eq!(of_server(unchanged(), true, named.into(), false), unchanged());
        assert_eq!(of_server(Rule::UnderWay, true, "build requested".into(), false), Rule::UnderWay);
    }
}
