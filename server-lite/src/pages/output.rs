//! `/p/PACKAGE/KEY/output/N` and `errout/N`: the whole output of a step as plain text.

use axum::extract::{Path, State};
use axum::response::Response;
use pony_wire::{StepResult, StoredResult};

use super::error::PageError;
use super::links;
use super::page_request::PageRequest;
use super::steps::parts;
use super::view;
use crate::blocking::blocking_if_large;
use crate::store::{ResultRow, Store};

#[derive(Debug, Clone, Copy)]
enum Stream {
    Output,
    Errout,
}

pub(crate) async fn output(
    State(store): State<Store>,
    Path((segment, key, step)): Path<(String, String, String)>,
    request: PageRequest,
) -> Result<Response, PageError> {
    let row = view::find(&store, links::package(&segment), &key, &request).await?;
    plain_text(row, &step, Stream::Output, request).await
}

pub(crate) async fn errout(
    State(store): State<Store>,
    Path((segment, key, step)): Path<(String, String, String)>,
    request: PageRequest,
) -> Result<Response, PageError> {
    let row = view::find(&store, links::package(&segment), &key, &request).await?;
    plain_text(row, &step, Stream::Errout, request).await
}

async fn plain_text(
    row: ResultRow,
    step: &str,
    stream: Stream,
    request: PageRequest,
) -> Result<Response, PageError> {
    let number = step.parse().unwrap_or(0);
    blocking_if_large(row.size(), move || {
        let bags = row.decode()?;
        let text = find(&bags, number, request.query.of.as_deref(), stream).ok_or_else(|| {
            PageError::not_found(&request, format!("This result has no such output of a step {number}"))
        })?;
        Ok(view::large_reply("text/plain; charset=utf-8", text, row))
    })
    .await
}

/// The output that an address such as `output/2?of=clone` names.
fn find(bags: &StoredResult, number: usize, part: Option<&str>, stream: Stream) -> Option<String> {
    let step = bags.results.get(number.checked_sub(1)?)?;
    let text = |step: &StepResult| match stream {
        Stream::Output => step.shown_output().to_owned(),
        Stream::Errout => step.errout.clone().unwrap_or_default(),
    };
    match part {
        None => Some(text(step)),
        Some(name) => parts(step).find(|(part, _)| *part == name).map(|(_, part)| text(&part)),
    }
}
