//! The pages for people, and the same as JSON. A handler asks the store, and hands what it got to a pure function.

pub(crate) mod files;
mod json;
mod layout;
mod links;
mod lists;
mod result;
mod terminal;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use maud::html;
use serde::Deserialize;

use crate::clock::Time;
use crate::http::chain;
use crate::memory;
use crate::offload::offload;
use crate::store::{FILES, Store, StoreError, Stored};
use result::View;

/// Rows on a page of a list.
const ROWS: u16 = 100;

pub(crate) fn router(store: Store) -> Router {
    Router::new()
        .route("/", get(packages))
        .route("/style.css", get(style))
        .route("/chain/{chain}", get(chain_page))
        .route("/p/{package}", get(add_slash))
        .route("/p/{package}/", get(slots))
        .route("/p/{package}/show_all", get(history))
        .route("/p/{package}/latest", get(add_slash))
        .route("/p/{package}/latest/", get(latest))
        .route("/p/{package}/{key}", get(add_slash))
        .route("/p/{package}/{key}/", get(one_result))
        .route("/p/{package}/{key}/inspect", get(inspect))
        .route("/p/{package}/{key}/output/{step}", get(output))
        .route("/p/{package}/{key}/errout/{step}", get(errout))
        .route("/p/{package}/{key}/request_build", get(confirm_request).post(request_build))
        .fallback(no_page)
        .with_state(store)
}

/// What may stand in the query of a page.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    format: Option<String>,
    from: Option<String>,
    slot: Option<String>,
    step: Option<String>,
    of: Option<String>,
}

impl Asked {
    /// Where a list of results begins.
    fn first_key(&self) -> i64 {
        self.from.as_deref().and_then(|key| key.parse().ok()).unwrap_or(i64::MAX)
    }
}

/// A request for a page: where it is and how the answer is to look.
struct Wanted {
    root: String,
    json: bool,
    asked: Asked,
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Wanted {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        // A query that makes no sense is no query.
        let asked = Query::try_from_uri(&parts.uri).map(|Query(asked)| asked).unwrap_or_default();
        let json = wants_json(&asked, &parts.headers);
        Ok(Self { root: links::root(parts.uri.path()), json, asked })
    }
}

fn wants_json(asked: &Asked, headers: &HeaderMap) -> bool {
    if let Some(format) = &asked.format {
        return format == "json";
    }
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/html")
}

/// Why there is no page.
enum NoPage {
    Missing { root: String, json: bool, what: String },
    Store(StoreError),
}

impl From<StoreError> for NoPage {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for NoPage {
    fn into_response(self) -> Response {
        match self {
            Self::Missing { json: true, what, .. } => {
                (StatusCode::NOT_FOUND, Json(serde_json::json!({"error": what}))).into_response()
            }
            Self::Missing { root, what, .. } => {
                let content = html! {
                    h1 { "Not here" }
                    p { (what) "." }
                    p { "It may have been mistyped or removed. " a href=(root) { "All packages" } " are on the first page." }
                };
                (StatusCode::NOT_FOUND, layout::page(&root, "Not here", &[], &content)).into_response()
            }
            Self::Store(error) => {
                tracing::error!(error = chain(&error), "a page could not be made");
                let text = "The results file cannot be read right now; the server's log says why.\n";
                (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
            }
        }
    }
}

impl Wanted {
    fn missing(&self, what: String) -> NoPage {
        NoPage::Missing { root: self.root.clone(), json: self.json, what }
    }

    fn no_package(&self, package: &str) -> NoPage {
        self.missing(format!("There are no results of a package “{package}”"))
    }
}

async fn packages(State(store): State<Store>, wanted: Wanted) -> Result<Response, NoPage> {
    let list = store.packages(wanted.asked.from.as_deref().unwrap_or_default(), ROWS).await?;
    Ok(if wanted.json {
        Json(json::packages(&list)).into_response()
    } else {
        lists::packages(&wanted.root, &list, Time::now()).into_response()
    })
}

async fn slots(
    State(store): State<Store>,
    Path(segment): Path<String>,
    wanted: Wanted,
) -> Result<Response, NoPage> {
    let package = links::package(&segment);
    let list = store.slots(package, wanted.asked.first_key(), ROWS).await?;
    if list.rows.is_empty() {
        return Err(wanted.no_package(package));
    }
    Ok(if wanted.json {
        Json(json::slots(package, &list)).into_response()
    } else {
        lists::slots(&wanted.root, package, &list, Time::now()).into_response()
    })
}

async fn history(
    State(store): State<Store>,
    Path(segment): Path<String>,
    wanted: Wanted,
) -> Result<Response, NoPage> {
    let package = links::package(&segment);
    let slot = wanted.asked.slot.as_deref().and_then(|slot| slot.parse().ok());
    let list = store.history(package, slot, wanted.asked.first_key(), ROWS).await?;
    if list.rows.is_empty() {
        return Err(wanted.no_package(package));
    }
    Ok(if wanted.json {
        Json(json::history(package, &list)).into_response()
    } else {
        lists::history(&wanted.root, package, slot, &list, Time::now()).into_response()
    })
}

async fn chain_page(
    State(store): State<Store>,
    Path(segment): Path<String>,
    wanted: Wanted,
) -> Result<Response, NoPage> {
    // Where a page of builds begins; the first comes first.
    let from = wanted.asked.from.as_deref().and_then(|key| key.parse().ok()).unwrap_or(0);
    let chain = links::package(&segment);
    let list = store.chain(chain, from, ROWS).await?;
    if list.rows.is_empty() {
        return Err(wanted.missing(format!("There are no results of a chain “{chain}”")));
    }
    Ok(if wanted.json {
        Json(json::chain(chain, &list)).into_response()
    } else {
        lists::chain(&wanted.root, chain, &list, Time::now()).into_response()
    })
}

async fn latest(
    State(store): State<Store>,
    Path(segment): Path<String>,
    wanted: Wanted,
) -> Result<Response, NoPage> {
    let package = links::package(&segment);
    let key = store.newest(package).await?.ok_or_else(|| wanted.no_package(package))?;
    let stored = stored(&store, package, &key.to_string(), &wanted).await?;
    result_page(&store, stored, wanted, Shown::Result).await
}

async fn one_result(
    State(store): State<Store>,
    Path((segment, key)): Path<(String, String)>,
    wanted: Wanted,
) -> Result<Response, NoPage> {
    let stored = stored(&store, links::package(&segment), &key, &wanted).await?;
    result_page(&store, stored, wanted, Shown::Result).await
}

async fn inspect(
    State(store): State<Store>,
    Path((segment, key)): Path<(String, String)>,
    wanted: Wanted,
) -> Result<Response, NoPage> {
    let stored = stored(&store, links::package(&segment), &key, &wanted).await?;
    result_page(&store, stored, wanted, Shown::Inspect).await
}

/// Old links ask for a build with GET. A crawler follows links, so that GET only shows the button.
async fn confirm_request(
    State(store): State<Store>,
    Path((segment, key)): Path<(String, String)>,
    wanted: Wanted,
) -> Result<Response, NoPage> {
    let stored = stored(&store, links::package(&segment), &key, &wanted).await?;
    result_page(&store, stored, wanted, Shown::ConfirmRequest).await
}

async fn request_build(
    State(store): State<Store>,
    Path((segment, key)): Path<(String, String)>,
    headers: HeaderMap,
    wanted: Wanted,
) -> Result<Response, NoPage> {
    // Browsers say when a page of another site sent the form.
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        let text = "A build can be requested from this server's own pages only.\n";
        return Ok((StatusCode::FORBIDDEN, text).into_response());
    }
    let package = links::package(&segment);
    let found = match key.parse() {
        Ok(key) => store.request_build(package, key).await?,
        Err(_) => false,
    };
    if !found {
        return Err(no_result(package, &key, &wanted));
    }
    if wanted.json {
        return Ok(Json(serde_json::json!({"build_requested": true})).into_response());
    }
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, "./")]).into_response())
}

/// Which page of a result.
#[derive(Debug, Clone, Copy)]
enum Shown {
    Result,
    Inspect,
    ConfirmRequest,
}

fn no_result(package: &str, key: &str, wanted: &Wanted) -> NoPage {
    wanted.missing(format!("The package “{package}” has no result “{key}”"))
}

async fn stored(store: &Store, package: &str, key: &str, wanted: &Wanted) -> Result<Stored, NoPage> {
    let found = match key.parse() {
        Ok(key) => store.result(key).await?,
        Err(_) => None,
    };
    found.filter(|stored| stored.package == package).ok_or_else(|| no_result(package, key, wanted))
}

async fn result_page(
    store: &Store,
    stored: Stored,
    wanted: Wanted,
    shown: Shown,
) -> Result<Response, NoPage> {
    let key = stored.summary.key;
    let (previous, next) = store.neighbours(&stored.summary).await?;
    let files =
        if wanted.json { store.files(key, false, FILES) } else { store.files(key, true, files::SHOWN + 1) };
    let files = files.await?;
    let now = Time::now();
    offload(stored.size(), move || {
        let bags = stored.result()?;
        let view = View {
            root: &wanted.root,
            package: &stored.package,
            summary: &stored.summary,
            bags: &bags,
            files: &files,
            requested: stored.requested,
            previous,
            next,
            from_step: wanted.asked.step.as_deref().and_then(|step| step.parse().ok()).unwrap_or(1),
            now,
        };
        if wanted.json {
            let page = json::result(&view);
            return whole("application/json", page.to_string(), stored);
        }
        let page = match shown {
            Shown::Result => view.page(),
            Shown::Inspect => view.inspect(),
            Shown::ConfirmRequest => view.confirm_request(),
        };
        Ok(page.into_response())
    })
    .await
}

async fn output(
    State(store): State<Store>,
    Path((segment, key, step)): Path<(String, String, String)>,
    wanted: Wanted,
) -> Result<Response, NoPage> {
    let stored = stored(&store, links::package(&segment), &key, &wanted).await?;
    raw(stored, &step, false, wanted).await
}

async fn errout(
    State(store): State<Store>,
    Path((segment, key, step)): Path<(String, String, String)>,
    wanted: Wanted,
) -> Result<Response, NoPage> {
    let stored = stored(&store, links::package(&segment), &key, &wanted).await?;
    raw(stored, &step, true, wanted).await
}

/// An output as it was sent.
async fn raw(stored: Stored, step: &str, errout: bool, wanted: Wanted) -> Result<Response, NoPage> {
    let number = step.parse().unwrap_or(0);
    offload(stored.size(), move || {
        let bags = stored.result()?;
        let text = result::raw_stream(&bags, number, wanted.asked.of.as_deref(), errout)
            .ok_or_else(|| wanted.missing(format!("This result has no such output of a step {number}")))?;
        whole("text/plain; charset=utf-8", text, stored)
    })
    .await
}

/// An answer as large as the result it is made of, whose memory it takes over.
#[expect(clippy::unnecessary_wraps, reason = "both callers answer with a page or the lack of one")]
fn whole(kind: &'static str, text: String, stored: Stored) -> Result<Response, NoPage> {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
    Ok((kind, memory::body(text, stored.held)).into_response())
}

async fn style() -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600")),
    ];
    (headers, include_str!("style.css")).into_response()
}

/// Pages are folders, so that links from them are short.
async fn add_slash(uri: Uri) -> Response {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, format!("./{last}/{query}"))]).into_response()
}

async fn no_page(uri: Uri, wanted: Wanted) -> NoPage {
    wanted.missing(format!("There is no page “{}” on this server", uri.path()))
}
