//! A server and the dialect it is spoken to in: what delivery and queries ask, each handed to the file of that kind of server.

use std::time::Duration;

use pony_wire::{ClientInfo, Dialect, Slot, StepResult, Submitted};

use super::{
    CALL, Server, devmason,
    error::CallError,
    kind::{BuildAdvice, Kind, Lookup, Presence, QueryFailure, RunIdentity},
    pony_build, pony_serve,
    reported::{FullResult, LastResult, PackageSummary, Summary},
};

/// How long a server of 2009 is asked for the key of a result that it has just taken.
const KEY_LIMIT: Duration = Duration::from_secs(10);

/// A server and what it speaks.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) server: Server,
    pub(crate) dialect: Dialect,
}

/// The facts about the servers of a dialect.
pub(crate) fn kind(dialect: Dialect) -> &'static Kind {
    match dialect {
        Dialect::V2009 => &pony_build::V2009,
        Dialect::V2010 => &pony_build::V2010,
        Dialect::PonyServe => &pony_serve::PONY_SERVE,
        Dialect::Devmason => &devmason::XML_RPC,
        Dialect::DevmasonRest => &devmason::REST,
    }
}

/// A query that was not answered.
#[derive(Debug, thiserror::Error)]
#[error("{server} {failure}")]
pub(crate) struct QueryError {
    /// As people call it.
    pub(crate) server: String,
    pub(crate) failure: QueryFailure,
}

/// What a server speaks, by what it answers to a cheap call; by its pages where it has no XML-RPC.
pub(crate) async fn detect(server: &Server) -> Result<Dialect, QueryError> {
    let failed = |failure| QueryError { server: server.display_name(), failure };
    let refused = match server.probe(CALL).await {
        Ok(Some(dialect)) => return Ok(dialect),
        Ok(None) => QueryFailure::Unrecognized,
        Err(error) if has_no_calls(&error) => QueryFailure::Call(error),
        Err(error) => return Err(failed(error.into())),
    };
    match server.json(&[], &[]).await {
        Ok(Some(root)) if devmason::is_root(&root) => Ok(Dialect::DevmasonRest),
        _ => Err(failed(refused)),
    }
}

/// There may be something there, only no XML-RPC.
fn has_no_calls(error: &CallError) -> bool {
    match error {
        CallError::NotXmlRpc { .. } | CallError::Page { .. } => true,
        CallError::Status { status, .. } => matches!(status.as_u16(), 404 | 405),
        _ => false,
    }
}

impl Api {
    pub(crate) fn new(server: &Server, dialect: Dialect) -> Self {
        Self { server: server.clone(), dialect }
    }

    pub(crate) fn kind(&self) -> &'static Kind {
        kind(self.dialect)
    }

    /// The name under which it files a package: the project that its address names, or the package as this kind takes it.
    pub(crate) fn package_name(&self, package: &str) -> String {
        match (self.server.project(), self.kind().package_name) {
            (Some(project), _) => project.to_owned(),
            (None, Some(rename)) => rename(package),
            (None, None) => package.to_owned(),
        }
    }

    /// The page for people of a result of this package, named as the server files it; without a key the nearest page that exists.
    pub(crate) fn page(&self, package: &str, key: Option<&str>) -> Option<String> {
        (self.kind().page)(&self.server.page_address()?, package, key)
    }

    /// A result as it is sent.
    pub(crate) fn encode(&self, client_info: ClientInfo, results: Vec<StepResult>) -> Vec<u8> {
        match self.dialect {
            Dialect::V2009 | Dialect::V2010 | Dialect::PonyServe => pony_build::encode(client_info, results),
            Dialect::Devmason => devmason::encode(client_info, results),
            Dialect::DevmasonRest => devmason::encode_rest(client_info, results),
        }
    }

    /// Sends a result. The answer may show another dialect than was expected.
    pub(crate) async fn submit(
        &self,
        run: RunIdentity<'_>,
        document: Vec<u8>,
    ) -> Result<Submitted, CallError> {
        let package = &run.slot.package;
        let filed = self.package_name(package);
        let mut submitted = match self.dialect {
            Dialect::DevmasonRest => devmason::submit_rest(&self.server, &filed, package, document).await?,
            Dialect::Devmason => devmason::submit(&self.server, &filed, run.run_id, document).await?,
            Dialect::V2009 | Dialect::V2010 | Dialect::PonyServe => {
                pony_build::submit(&self.server, document).await?
            }
        };
        if submitted.dialect == Dialect::V2009 {
            // It answers without a key. Whether or not it shows one, the result is there.
            let found = tokio::time::timeout(KEY_LIMIT, pony_build::find_run(&self.server, run)).await;
            if let Ok(Ok(Presence::Stored(key))) = found {
                submitted.result_key = key;
            }
        }
        // pony-serve answers as 2010 does; a gateway before it may take away what tells them apart.
        let is_ours = self.dialect == Dialect::PonyServe && submitted.dialect == Dialect::V2010;
        Ok(if is_ours { Submitted { dialect: self.dialect, ..submitted } } else { submitted })
    }

    /// Whether it has a run that was sent and not answered for. pony-serve is not asked: it recognises a run that is sent again.
    pub(crate) async fn find_run(&self, run: RunIdentity<'_>) -> Result<Presence, CallError> {
        match self.dialect {
            Dialect::PonyServe => Ok(Presence::Unknown),
            Dialect::V2009 | Dialect::V2010 => pony_build::find_run(&self.server, run).await,
            Dialect::Devmason | Dialect::DevmasonRest => {
                let slug = self.package_name(&run.slot.package);
                devmason::find_run(&self.server, &slug, run.run_id).await
            }
        }
    }

    /// The packages that it has results of.
    pub(crate) async fn packages(&self) -> Result<Vec<PackageSummary>, QueryError> {
        let packages = match self.dialect {
            Dialect::PonyServe => pony_serve::packages(&self.server).await,
            Dialect::Devmason | Dialect::DevmasonRest => devmason::packages(&self.server).await,
            Dialect::V2009 | Dialect::V2010 => {
                let name_one = "name a package: `pony-run query slots PACKAGE`";
                let hint = match self.server.url() {
                    Some(url) => format!("open {url} in a browser, or {name_one}"),
                    None => name_one.to_owned(),
                };
                Err(self.unsupported("which does not list packages to programs", hint))
            }
        };
        packages.map_err(|failure| self.error(failure))
    }

    /// The slots of a package, at least one.
    pub(crate) async fn slots(&self, package: &str) -> Result<Vec<Slot>, QueryError> {
        let slots = match self.dialect {
            Dialect::V2009 | Dialect::V2010 | Dialect::PonyServe => {
                pony_build::slots(&self.server, package).await.map_err(|failure| self.error(failure))?
            }
            Dialect::Devmason | Dialect::DevmasonRest => {
                let last = devmason::last_results(&self.server, &self.package_name(package), &[]).await;
                let last = last.map_err(|failure| self.error(failure))?;
                last.into_iter().map(|last| last.summary.slot).collect()
            }
        };
        let listed_days = self.kind().listed_days;
        let missing = || self.error(QueryFailure::NoPackage { package: package.to_owned(), listed_days });
        if slots.is_empty() { Err(missing()) } else { Ok(slots) }
    }

    /// The last result of each slot that has these tags, newest first.
    pub(crate) async fn last_results(
        &self,
        package: &str,
        tags: &[String],
    ) -> Result<Vec<LastResult>, QueryError> {
        let filed = self.package_name(package);
        let last = match self.dialect {
            Dialect::PonyServe => pony_serve::last_results(&self.server, package, tags).await,
            Dialect::V2009 | Dialect::V2010 => {
                // So that a package without results is told from one without these tags.
                let slots = self.slots(package).await?;
                pony_build::last_results(&self.server, package, slots, tags).await
            }
            Dialect::Devmason | Dialect::DevmasonRest => {
                devmason::last_results(&self.server, &filed, tags).await
            }
        };
        let mut last = last.map_err(|failure| self.error(failure))?;
        for one in &mut last {
            self.link(&mut one.summary);
            if let Some(full) = &mut one.full {
                self.link(&mut full.summary);
            }
        }
        last.sort_by_key(|last| std::cmp::Reverse(last.summary.received));
        Ok(last)
    }

    /// A result by `KEY` or `PACKAGE/KEY`, as the kind of server needs it.
    pub(crate) async fn result(&self, key: &str) -> Result<FullResult, QueryError> {
        let (package, bare) = match key.rsplit_once('/') {
            Some((package, bare)) => (Some(package), bare),
            None => (None, key),
        };
        let missing = || QueryFailure::NoResult(key.to_owned());
        let result = match (self.kind().lookup, package) {
            (Lookup::Key, package) => match pony_build::result(&self.server, bare).await {
                Ok(full) if package.is_some_and(|package| package != full.summary.slot.package) => {
                    Err(missing())
                }
                Err(QueryFailure::NoResult(_)) => Err(missing()),
                result => result,
            },
            (Lookup::PackageAndKey, Some(package)) => {
                let slug = self.package_name(package);
                devmason::result(&self.server, &slug, bare).await.and_then(|full| full.ok_or_else(missing))
            }
            (Lookup::PackageAndKey, None) => {
                let hint = format!("write it as PACKAGE/{bare}");
                Err(self.unsupported("which looks results up by their package too", hint))
            }
            (Lookup::None, _) => {
                let hint = "`pony-run query last PACKAGE` shows the newest ones".to_owned();
                Err(self.unsupported("which does not look results up by their key", hint))
            }
        };
        let mut full = result.map_err(|failure| self.error(failure))?;
        self.link(&mut full.summary);
        Ok(full)
    }

    /// The whole of a last result; none where the server does not give it.
    pub(crate) async fn complete(&self, last: LastResult) -> Result<Option<FullResult>, QueryError> {
        match (last.full, &last.summary.key) {
            (Some(full), _) => Ok(Some(full)),
            (None, None) => Ok(None),
            (None, Some(key)) => self.result(key).await.map(Some),
        }
    }

    /// That it answers `check_should_build`.
    pub(crate) fn advises(&self) -> Result<(), QueryError> {
        if self.kind().advice == BuildAdvice::None {
            let hint = "leave the question to `pony-run --if-needed`, which asks upstream".to_owned();
            return Err(self.error(self.unsupported("which does not say whether to build", hint)));
        }
        Ok(())
    }

    /// `failure` as an error of this server.
    pub(crate) fn error(&self, failure: QueryFailure) -> QueryError {
        QueryError { server: self.server.display_name(), failure }
    }

    fn unsupported(&self, why: &'static str, hint: String) -> QueryFailure {
        QueryFailure::Unsupported { dialect: self.dialect, why, hint }
    }

    fn link(&self, summary: &mut Summary) {
        summary.page = summary.key.as_ref().and_then(|key| self.page(&summary.slot.package, Some(key)));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::registry::Servers, *};

    fn api(url: &str, dialect: Dialect) -> Api {
        Api::new(&Servers::default().named(url).unwrap(), dialect)
    }

    #[test]
    fn the_table_of_what_kinds_of_servers_take() {
        // request limit, file limit, run ids, outcomes, lists packages
        for (dialect, limit, file, run_ids, outcomes, packages) in [
            (Dialect::V2009, 4_800_000, None, false, false, false),
            (Dialect::V2010, 4_800_000, Some(Some(5_000_000)), false, false, false),
            (Dialect::PonyServe, 48_000_000, Some(None), true, true, true),
            (Dialect::Devmason, 4_800_000, None, false, false, true),
            (Dialect::DevmasonRest, 4_800_000, None, false, false, true),
        ] {
            let kind = kind(dialect);
            assert_eq!(
                (kind.request_limit, kind.uploads.map(|limits| limits.file)),
                (limit, file),
                "{dialect}"
            );
            let can = (kind.knows_run_ids, kind.knows_outcomes, kind.lists_packages);
            assert_eq!(can, (run_ids, outcomes, packages), "{dialect}");
        }
    }

    #[test]
    fn a_package_is_filed_and_linked_under_the_name_that_the_server_takes() {
        for (url, dialect, filed, page) in [
            ("http://h/", Dialect::V2010, "My Package", "http://h/p/My%20Package/7/"),
            ("http://h/d/", Dialect::Devmason, "my-package", "http://h/d/my-package/builds/7"),
            ("http://h/d/xmlrpc", Dialect::DevmasonRest, "my-package", "http://h/d/my-package/builds/7"),
            ("http://h/d/proj/builds", Dialect::DevmasonRest, "proj", "http://h/d/proj/builds/7"),
            ("embedded", Dialect::PonyServe, "My Package", "http://127.0.0.1:8000/p/My%20Package/7/"),
        ] {
            let api = api(url, dialect);
            let name = api.package_name("My Package");
            assert_eq!((name.as_str(), api.page(&name, Some("7")).as_deref()), (filed, Some(page)), "{url}");
        }
    }
}
