//! Questions put to a server, each in the way that its dialect has for it.

use jiff::Timestamp;
use pony_wire::{BagError, Call, Dialect, Slot, StoredResult, Tagsets};
use serde_json::Value as Json;

use super::{Full, Package, Row, has_tags, read, slot_of};
use crate::server::{CALL, Server, error::CallError};

/// Builds on one page of devmason's lists.
const PAGE: &str = "100";
/// Pages of lists that are read: more than anybody wants to look at.
const PAGES: usize = 50;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The server could not be asked.
    #[error("{server} could not be asked: {error}")]
    Call {
        /// Which.
        server: String,
        /// Why.
        error: CallError,
    },
    /// Its answer is none.
    #[error("{server} answered with what is no result: {error}")]
    Odd {
        /// Which.
        server: String,
        /// What is wrong.
        error: BagError,
    },
    /// A kind of server that has no such question.
    #[error("{server} speaks {dialect}, {why}; {way_out}")]
    Cannot {
        /// Which.
        server: String,
        /// What it speaks.
        dialect: Dialect,
        /// `which lists no packages`
        why: &'static str,
        /// What to do instead.
        way_out: String,
    },
    /// It is none of the servers that are known.
    #[error(
        "{0} is no pony-build server as far as can be told; if it is one, say which kind: --dialect 2009, 2010, pony-serve, devmason or devmason-rest"
    )]
    NoServer(String),
    /// It has no results of that package.
    #[error("{server} has no results of a package `{package}`")]
    NoPackage {
        /// Which server.
        server: String,
        /// Which package.
        package: String,
    },
    /// It has no such result.
    #[error("{server} has no result {key}")]
    NoResult {
        /// Which server.
        server: String,
        /// Which result.
        key: String,
    },
}

/// A result that is the last of its slot, whole where the server gives no less.
#[derive(Debug, Clone, PartialEq)]
pub struct Last {
    /// In short.
    pub row: Row,
    /// All of it.
    pub full: Option<Full>,
}

/// A server, and what it speaks.
#[derive(Debug, Clone)]
pub struct Asking {
    /// Who is asked.
    pub server: Server,
    /// In which dialect.
    pub dialect: Dialect,
}

impl Asking {
    /// The packages that it has results of.
    pub async fn packages(&self) -> Result<Vec<Package>, AskError> {
        match self.dialect {
            Dialect::PonyServe => {
                let pages = self.pages(&[], "packages").await?.unwrap_or_default();
                Ok(pages.iter().flat_map(read::serve_packages).collect())
            }
            Dialect::Devmason | Dialect::DevmasonRest => {
                let root = self.json(&[], &[]).await?.unwrap_or_default();
                Ok(read::devmason_packages(&root))
            }
            Dialect::V2009 | Dialect::V2010 => {
                let way_out = match self.server.below(&[]) {
                    Some(url) => format!(
                        "open {url} in a browser, or name a package: `pony-run query tagsets PACKAGE`"
                    ),
                    None => "name a package: `pony-run query tagsets PACKAGE`".to_owned(),
                };
                Err(self.cannot("which lists no packages to programs", way_out))
            }
        }
    }

    /// The slots of a package.
    pub async fn tagsets(&self, package: &str) -> Result<Vec<Slot>, AskError> {
        let slots: Vec<Slot> = match self.dialect {
            Dialect::V2009 | Dialect::V2010 | Dialect::PonyServe => {
                let call = Call::GetTagsetsForPackage { package: package.to_owned() };
                let answer = self.server.ask(&call).await.map_err(|error| self.failed(error))?;
                let Tagsets(tagsets) = Tagsets::from_value(answer).map_err(|error| self.odd(error))?;
                tagsets.iter().map(|tagset| slot_of(package, tagset)).collect()
            }
            Dialect::Devmason | Dialect::DevmasonRest => {
                self.last_builds(package, &[]).await?.into_iter().map(|last| last.row.slot).collect()
            }
        };
        if slots.is_empty() { Err(self.no_package(package)) } else { Ok(slots) }
    }

    /// The last result of each slot that has these tags, the newest first.
    pub async fn last(&self, package: &str, tags: &[String]) -> Result<Vec<Last>, AskError> {
        let mut all = match self.dialect {
            Dialect::PonyServe => self.last_of_slots(package, tags).await?,
            Dialect::V2009 | Dialect::V2010 => self.last_of_tagsets(package, tags).await?,
            Dialect::Devmason | Dialect::DevmasonRest => self.last_builds(package, tags).await?,
        };
        all.sort_by_key(|last| std::cmp::Reverse(last.row.received));
        Ok(all)
    }

    async fn last_of_slots(&self, package: &str, tags: &[String]) -> Result<Vec<Last>, AskError> {
        let pages = self.pages(&["p", &segment(package), ""], "slots").await?;
        let pages = pages.ok_or_else(|| self.no_package(package))?;
        let rows = pages.iter().flat_map(|page| read::serve_slots(package, page));
        let rows = rows.filter(|row| has_tags(&row.slot, tags)).map(|row| self.with_page(row));
        Ok(rows.map(|row| Last { row, full: None }).collect())
    }

    async fn last_of_tagsets(&self, package: &str, tags: &[String]) -> Result<Vec<Last>, AskError> {
        let mut all = Vec::new();
        for slot in self.tagsets(package).await?.into_iter().filter(|slot| has_tags(slot, tags)) {
            let call = Call::GetLastResultForTagset { package: package.to_owned(), tagset: slot.tagset() };
            // These servers turn their list of results round each time they answer that, and take the last one of it: of two
            // answers one is the newest result, and the other the oldest.
            let answers = [self.last_result(&call).await?, self.last_result(&call).await?];
            let newest = answers
                .into_iter()
                .flatten()
                .max_by(|one, other| one.receipt.time.total_cmp(&other.receipt.time));
            // It may have gone since.
            all.extend(newest.map(|stored| last(self.whole(read::stored(stored)))));
        }
        Ok(all)
    }

    async fn last_result(&self, call: &Call) -> Result<Option<StoredResult>, AskError> {
        let answer = self.server.ask(call).await.map_err(|error| self.failed(error))?;
        StoredResult::from_last_result(answer).map_err(|error| self.odd(error))
    }

    /// devmason knows no slots: the first build of each host, architecture and tags among the builds, which begin with the newest.
    async fn last_builds(&self, package: &str, tags: &[String]) -> Result<Vec<Last>, AskError> {
        let slug = self.dialect.package(package);
        let mut all: Vec<Last> = Vec::new();
        for number in 1..=PAGES {
            let page = number.to_string();
            let list = self.json(&[&slug, "builds"], &[("per_page", PAGE), ("page", &page)]).await?;
            let Some(list) = list else {
                if number == 1 {
                    return Err(self.no_package(package));
                }
                break;
            };
            for build in list["builds"].as_array().into_iter().flatten() {
                let full = self.whole(read::devmason_build(&slug, build));
                let tagset = full.row.slot.tagset();
                if let Some(known) = all.iter_mut().find(|known| known.row.slot.tagset() == tagset) {
                    // Its times are seconds: of one second, what came later has the larger key.
                    if order(&known.row) < order(&full.row) {
                        *known = last(full);
                    }
                } else if has_tags(&full.row.slot, tags) {
                    all.push(last(full));
                }
            }
            if list["num_pages"].as_u64().unwrap_or(1) <= number as u64 {
                break;
            }
        }
        Ok(all)
    }

    /// A result. `key` may be `PACKAGE/KEY`, and has to be on devmason.
    pub async fn result(&self, key: &str) -> Result<Full, AskError> {
        let (package, bare) = match key.rsplit_once('/') {
            Some((package, bare)) => (Some(package), bare),
            None => (None, key),
        };
        let missing = || AskError::NoResult { server: called(&self.server), key: key.to_owned() };
        match self.dialect {
            Dialect::V2010 | Dialect::PonyServe => {
                let answer = self.server.ask(&Call::GetResults { result_key: bare.to_owned() }).await;
                let answer = answer.map_err(|error| match error {
                    CallError::Fault(fault)
                        if ["KeyError", "ValueError"].iter().any(|word| fault.message.contains(word)) =>
                    {
                        missing()
                    }
                    error => self.failed(error),
                })?;
                let full = read::stored(StoredResult::from_value(answer).map_err(|error| self.odd(error))?);
                if package.is_some_and(|package| package != full.row.slot.package) {
                    return Err(missing());
                }
                Ok(self.whole(full))
            }
            Dialect::Devmason | Dialect::DevmasonRest => {
                let package = package.ok_or_else(|| {
                    let way_out = format!("write it as PACKAGE/{bare}");
                    self.cannot("whose results are known by their package too", way_out)
                })?;
                let slug = self.dialect.package(package);
                let build = self.json(&[&slug, "builds", bare], &[]).await?.ok_or_else(missing)?;
                Ok(self.whole(read::devmason_build(&slug, &build)))
            }
            Dialect::V2009 => {
                let way_out = "`pony-run query last PACKAGE` shows the newest ones".to_owned();
                Err(self.cannot("which gives no result by its key", way_out))
            }
        }
    }

    /// All of a result of which the row is known; none where the server does not give it.
    pub async fn all_of(&self, last: Last) -> Result<Option<Full>, AskError> {
        match (last.full, &last.row.key) {
            (Some(full), _) => Ok(Some(full)),
            (None, None) => Ok(None),
            (None, Some(key)) => self.result(key).await.map(Some),
        }
    }

    /// That it answers `check_should_build`.
    pub fn says_whether_to_build(&self) -> Result<(), AskError> {
        if self.dialect == Dialect::DevmasonRest {
            let way_out = "leave the question to `pony-run --if-needed`, which asks upstream".to_owned();
            return Err(self.cannot("which does not say whether to build", way_out));
        }
        Ok(())
    }

    /// All pages of a list of pony-serve; none if there is no such list.
    async fn pages(&self, segments: &[&str], list: &str) -> Result<Option<Vec<Json>>, AskError> {
        let mut pages: Vec<Json> = Vec::new();
        let mut from: Option<String> = None;
        while pages.len() < PAGES {
            let query: Vec<(&str, &str)> = from.iter().map(|from| ("from", from.as_str())).collect();
            let Some(page) = self.json(segments, &query).await? else { break };
            from = page["next"].as_str().map(str::to_owned);
            let is_list = page[list].is_array();
            pages.push(page);
            if from.is_none() || !is_list {
                break;
            }
        }
        Ok((!pages.is_empty()).then_some(pages))
    }

    async fn json(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Option<Json>, AskError> {
        self.server.json(segments, query).await.map_err(|error| self.failed(error))
    }

    fn whole(&self, full: Full) -> Full {
        Full { row: self.with_page(full.row), ..full }
    }

    fn with_page(&self, row: Row) -> Row {
        let Some(key) = &row.key else { return row };
        let page = match self.dialect {
            // Its pages are not known.
            Dialect::V2009 => None,
            Dialect::V2010 | Dialect::PonyServe => self.server.page(&segment(&row.slot.package), key),
            Dialect::Devmason | Dialect::DevmasonRest => {
                self.server.below(&[&row.slot.package, "builds", key])
            }
        };
        Row { page, ..row }
    }

    /// Why it could not be asked.
    pub fn failed(&self, error: CallError) -> AskError {
        AskError::Call { server: called(&self.server), error }
    }

    fn odd(&self, error: BagError) -> AskError {
        AskError::Odd { server: called(&self.server), error }
    }

    fn cannot(&self, why: &'static str, way_out: String) -> AskError {
        AskError::Cannot { server: called(&self.server), dialect: self.dialect, why, way_out }
    }

    fn no_package(&self, package: &str) -> AskError {
        AskError::NoPackage { server: called(&self.server), package: package.to_owned() }
    }
}

/// What a server speaks, told by what it says to a cheap call; of one that has no XML-RPC, by what its pages are.
pub async fn find_out(server: &Server) -> Result<Option<Dialect>, CallError> {
    let refused = match server.probe(CALL).await {
        Ok(Some(dialect)) => return Ok(Some(dialect)),
        Ok(None) => None,
        Err(error) if is_of_no_calls(&error) => Some(error),
        Err(error) => return Err(error),
    };
    let root = server.json(&[], &[]).await;
    let is_devmason = root.is_ok_and(|root| root.is_some_and(|root| root["projects"].is_array()));
    match refused {
        _ if is_devmason => Ok(Some(Dialect::DevmasonRest)),
        Some(error) => Err(error),
        None => Ok(None),
    }
}

/// There may be something there, only no XML-RPC.
fn is_of_no_calls(error: &CallError) -> bool {
    match error {
        CallError::NotXmlRpc { .. } | CallError::Page { .. } => true,
        CallError::Status { status, .. } => matches!(status.as_u16(), 404 | 405),
        _ => false,
    }
}

/// A server as it is called in a sentence.
pub fn called(server: &Server) -> String {
    if server.is_embedded() { "the embedded server on this machine".to_owned() } else { server.name() }
}

/// What is greater is newer.
fn order(row: &Row) -> (Option<Timestamp>, Option<u64>) {
    (row.received, row.key.as_ref().and_then(|key| key.parse().ok()))
}

fn last(full: Full) -> Last {
    Last { row: full.row.clone(), full: Some(full) }
}

/// A package's name in the path of a page: what would be a direction carries a mark, as pony-serve's links do.
fn segment(package: &str) -> String {
    let mark = if matches!(package, "." | ".." | "") || package.starts_with('~') { "~" } else { "" };
    format!("{mark}{package}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_a_direction_carries_a_mark() {
        for (name, expected) in [("demo", "demo"), ("..", "~.."), ("~x", "~~x"), ("...", "...")] {
            assert_eq!(segment(name), expected);
        }
    }
}
