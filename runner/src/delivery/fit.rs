//! A result that fits into what a server accepts: which logs are shortened, and whether steps are combined.

use std::{collections::HashMap, io, path::Path};

use super::{
    bag::{self, Bags},
    combine::combine,
    excerpt,
};
use crate::{
    record::{Log, Outcome, RunRecord, folder::RunFolder},
    server::api::Api,
};

/// Bytes of all logs of a result, before the rest of the document.
const TEXT_BUDGET: u64 = 3_600_000;
/// Below this, steps are combined.
const LEAST_TEXT: u64 = 20_000;

/// A result as it is sent.
#[derive(Debug)]
pub(super) struct Fitted {
    /// The document.
    pub(super) document: Vec<u8>,
    /// Logs of which a part was left out.
    pub(super) shortened: Vec<Log>,
}

/// Why a result cannot be made to fit.
#[derive(Debug)]
pub(super) enum FitError {
    /// A log cannot be read.
    Read(io::Error),
    /// Without any output it is still larger than the limit: so many bytes.
    TooLarge(usize),
}

/// How important it is that a log is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Of the step that failed the build.
    Culprit,
    /// Of another step that did not end well.
    Failed,
    /// Of a step that passed.
    Passed,
}

/// The document of the result in `folder`, with as much of its logs as the server takes.
pub(super) fn fit(record: &RunRecord, folder: &Path, bags: &Bags<'_>, api: &Api) -> Result<Fitted, FitError> {
    let limit = api.kind().request_limit;
    let recipe = bag::recipe(&RunFolder::at(folder));
    let logs: Vec<(&Log, Rank)> = ranked(record).collect();
    let sizes: Vec<(u64, Rank)> = logs.iter().map(|(log, rank)| (log.bytes, *rank)).collect();
    let mut budget = TEXT_BUDGET.min(limit as u64 / 4 * 3);
    let mut most_steps = record.steps.len().max(1);
    loop {
        let shares = shares(&sizes, budget);
        let mut texts = HashMap::new();
        let mut shortened = Vec::new();
        for ((log, _), share) in logs.iter().zip(&shares) {
            let path = folder.join(&log.file);
            let whole = whole(record, &path, log, api);
            let text = excerpt::read(&path, *share, &whole, api.kind().colours).map_err(FitError::Read)?;
            if log.bytes > *share {
                shortened.push((*log).clone());
            }
            texts.insert(log.file.as_str(), text);
        }
        let mut text = |log: &Log| texts.remove(log.file.as_str()).unwrap_or_default();
        let (mut client_info, steps) = bags.make(&mut text);
        client_info.extra.extend(recipe.clone());
        let document = api.encode(client_info, combine(steps, most_steps));
        let size = document.len();
        if size <= limit {
            return Ok(Fitted { document, shortened });
        }
        // Text full of `&` and `<` grows when it is encoded.
        if budget >= LEAST_TEXT {
            budget /= 2;
        } else if most_steps > 1 {
            most_steps /= 2;
        } else if budget > 0 {
            budget = 0;
        } else {
            return Err(FitError::TooLarge(size));
        }
    }
}

/// Where the whole of a log is.
fn whole(record: &RunRecord, path: &Path, log: &Log, api: &Api) -> String {
    let here = format!("{}:{}", record.host, path.display());
    if api.kind().uploads.is_some() {
        format!("file {} and in {here}", super::upload::log_name(log))
    } else {
        here
    }
}

fn ranked(record: &RunRecord) -> impl Iterator<Item = (&Log, Rank)> {
    let culprit = record.culprit().map(|step| step.name.as_str());
    record.steps.iter().flat_map(move |step| {
        let rank = match step.outcome {
            _ if Some(step.name.as_str()) == culprit => Rank::Culprit,
            Outcome::Passed | Outcome::Skipped => Rank::Passed,
            _ => Rank::Failed,
        };
        step.logs().map(move |log| (log, rank))
    })
}

/// The most bytes of each log so that together they stay within `budget`: important ones come first, but leave a quarter to the
/// rest; among equals only the long ones are shortened, all to the same length. Pure.
fn shares(sizes: &[(u64, Rank)], budget: u64) -> Vec<u64> {
    let mut shares = vec![0; sizes.len()];
    let mut left = budget;
    for rank in [Rank::Culprit, Rank::Failed, Rank::Passed] {
        let of_rank: Vec<u64> = sizes.iter().filter(|(_, of)| *of == rank).map(|(size, _)| *size).collect();
        let below: u64 = sizes.iter().filter(|(_, of)| *of > rank).map(|(size, _)| *size).sum();
        let share = fair_share(&of_rank, left - below.min(left / 4));
        for ((size, of), into) in sizes.iter().zip(&mut shares) {
            if *of == rank {
                *into = share;
                left = left.saturating_sub(share.min(*size));
            }
        }
    }
    shares
}

/// The most bytes of each so that all of them together stay within `budget`: only the long ones are shortened, all to the same
/// length. Pure.
fn fair_share(sizes: &[u64], budget: u64) -> u64 {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    let mut left = budget;
    for (index, size) in sizes.iter().enumerate() {
        let waiting = (sizes.len() - index) as u64;
        if *size > left / waiting {
            return left / waiting;
        }
        left -= size;
    }
    budget
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_logs_are_whole_and_long_ones_share_the_rest() {
        assert_eq!(fair_share(&[10, 10], 100), 100);
        assert_eq!(fair_share(&[10, 1000, 1000], 100), 45);
        assert_eq!(fair_share(&[1000, 1000], 100), 50);
        assert_eq!(fair_share(&[], 100), 100);
        for sizes in [vec![1, 2, 3, 400, 500], vec![99, 99, 99], vec![0, 0, 7000]] {
            let share = fair_share(&sizes, 120);
            assert!(sizes.iter().map(|size| (*size).min(share)).sum::<u64>() <= 120);
        }
    }

    #[test]
    fn what_failed_is_shortened_last() {
        let sizes = [(1000, Rank::Passed), (60, Rank::Culprit), (1000, Rank::Passed), (5, Rank::Passed)];
        let shares = shares(&sizes, 100);
        assert!(shares[1] >= 60, "the failing step's is whole: {shares:?}");
        assert_eq!((shares[0], shares[2]), (17, 17), "long ones of steps that passed share what is left");
        assert!(shares[3] >= 5, "short ones are whole: {shares:?}");
    }

    #[test]
    fn a_failing_step_alone_does_not_take_all() {
        let given = |sizes: &[(u64, Rank)]| -> Vec<u64> {
            shares(sizes, 100).iter().zip(sizes).map(|(share, (size, _))| (*share).min(*size)).collect()
        };
        assert_eq!(given(&[(1000, Rank::Passed), (1000, Rank::Culprit)]), [25, 75]);
        assert_eq!(given(&[(10, Rank::Passed), (1000, Rank::Culprit)]), [10, 90]);
        assert_eq!(given(&[(1000, Rank::Culprit)]), [100]);
        for sizes in [
            vec![(500, Rank::Failed), (500, Rank::Passed), (500, Rank::Culprit)],
            vec![(1, Rank::Failed), (0, Rank::Passed), (99, Rank::Failed), (70, Rank::Passed)],
        ] {
            assert!(given(&sizes).iter().sum::<u64>() <= 100, "{sizes:?}");
        }
    }
}
