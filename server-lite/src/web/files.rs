//! Files of a result: their list, and each as it was sent, never as something that a browser would run here.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::{Markup, html};
use tower_http::services::ServeFile;

use super::layout::size;
use super::{NoPage, Wanted, links};
use crate::store::{FileRow, Store, StoreError};
use crate::upload::shown_name;

/// Files on a result's page; the JSON has all.
pub(super) const SHOWN: u16 = 500;

pub(crate) fn router(store: Store) -> Router {
    Router::new().route("/p/{package}/{key}/files/{*name}", get(file)).with_state(store)
}

async fn file(
    State(store): State<Store>,
    Path((segment, key, name)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
    wanted: Wanted,
) -> Result<Response, NoPage> {
    let package = links::package(&segment);
    let name = shown_name(&links::file(&name));
    let missing = || {
        wanted.missing(format!(
            "Result “{key}” of the package “{package}” has no file “{name}”; those of old results are dropped when room is needed"
        ))
    };
    let key = key.parse().map_err(|_| missing())?;
    // Of a file that is replaced between the two looks, the bytes are gone: its new ones are there.
    for _ in 0..2 {
        let row = store.file(package, key, &name).await?.ok_or_else(missing)?;
        let mut asked = Request::new(());
        *asked.method_mut() = method.clone();
        *asked.headers_mut() = headers.clone();
        let served = ServeFile::new(store.path(&row)).try_call(asked).await.map_err(StoreError::Files)?;
        if served.status() != StatusCode::NOT_FOUND {
            return Ok(as_it_is(served.into_response(), &row.about.name));
        }
    }
    Err(missing())
}

/// With a type that no browser runs, and the name that it is saved under.
fn as_it_is(mut response: Response, name: &str) -> Response {
    let (kind, place) = kind(name);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, disposition(place, name));
    response
}

/// The type of a file by its name, and whether a browser shows it or saves it.
fn kind(name: &str) -> (&'static str, &'static str) {
    match name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).as_deref() {
        Some("txt" | "log") => ("text/plain; charset=utf-8", "inline"),
        Some("gz") => ("application/gzip", "attachment"),
        _ => ("application/octet-stream", "attachment"),
    }
}

/// RFC 6266: the last part of the name, for browsers of all ages. All of it is letters and digits, or percent-encoded.
fn disposition(place: &str, name: &str) -> HeaderValue {
    let last = name.rsplit('/').next().filter(|last| !matches!(*last, "" | "." | "..")).unwrap_or("file");
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-._+".contains(c) { c } else { '_' };
    let ascii: String = last.chars().map(plain).collect();
    let text = format!("{place}; filename=\"{ascii}\"; filename*=UTF-8''{}", links::query(last));
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// The visible files of a result; `files` may hold one more than are shown.
pub(super) fn list(key: i64, files: &[FileRow]) -> Markup {
    let shown = &files[..files.len().min(usize::from(SHOWN))];
    html! { @if !files.is_empty() {
        h2 { "Files" }
        table {
            thead { tr { th { "name" } th.number { "size" } th { "description" } } }
            tbody { @for file in shown { tr {
                td { a href=(format!("../{key}/files/{}", links::file_path(&file.about.name))) { (file.about.name) } }
                td.number data-label="size" { (size(usize::try_from(file.size).unwrap_or(usize::MAX))) }
                td { (file.about.description) }
            } } }
        }
        @if files.len() > shown.len() { p.quiet { "There are more; the " a href=(format!("../{key}/?format=json")) { "JSON" } " has all of them." } }
    } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_served_that_a_browser_runs() {
        for (name, expected, place) in [
            ("a/make.LOG", "text/plain; charset=utf-8", "inline"),
            ("notes.txt", "text/plain; charset=utf-8", "inline"),
            ("logs/02-make.out.gz", "application/gzip", "attachment"),
            ("x.html", "application/octet-stream", "attachment"),
            ("x.svg", "application/octet-stream", "attachment"),
            ("log", "application/octet-stream", "attachment"),
            ("a.txt/b", "application/octet-stream", "attachment"),
        ] {
            assert_eq!(kind(name), (expected, place), "{name}");
        }
    }

    #[test]
    fn names_stay_within_their_header() {
        for (name, expected) in [
            ("dist/a-1.0.whl", "filename=\"a-1.0.whl\"; filename*=UTF-8''a-1.0.whl"),
            (
                "a\r\nSet-Cookie: x",
                "filename=\"a__Set-Cookie__x\"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x",
            ),
            ("\"; x=\"", "filename=\"___x__\"; filename*=UTF-8''%22%3B%20x%3D%22"),
            ("ü", "filename=\"_\"; filename*=UTF-8''%C3%BC"),
            ("a/..", "filename=\"file\"; filename*=UTF-8''file"),
            ("a/", "filename=\"file\"; filename*=UTF-8''file"),
        ] {
            assert_eq!(disposition("attachment", name), format!("attachment; {expected}"), "{name}");
        }
    }
}
