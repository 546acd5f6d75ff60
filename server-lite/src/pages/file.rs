//! `/p/PACKAGE/KEY/files/NAME`: an uploaded file as it was sent, never as something that a browser would run.

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower_http::services::ServeFile;

use super::error::PageError;
use super::links;
use super::page_request::PageRequest;
use crate::file_name;
use crate::store::{Store, StoreError};

pub(crate) async fn file(
    State(store): State<Store>,
    Path((segment, key, name)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
    request: PageRequest,
) -> Result<Response, PageError> {
    let package = links::package(&segment);
    let name = file_name::visible(&links::file(&name));
    let missing = || {
        let what = format!(
            "Result “{key}” of the package “{package}” has no file “{name}”; files of old results are deleted when space is needed"
        );
        PageError::not_found(&request, what)
    };
    let key = key.parse().map_err(|_| missing())?;
    // A file that is replaced between the two lookups is found under its new id.
    for _ in 0..2 {
        let row = store.file(package, key, &name).await?.ok_or_else(missing)?;
        let mut inner = Request::new(());
        *inner.method_mut() = method.clone();
        *inner.headers_mut() = headers.clone();
        let served = ServeFile::new(store.path(&row)).try_call(inner).await.map_err(StoreError::Files)?;
        if served.status() != StatusCode::NOT_FOUND {
            return Ok(with_safe_type(served.into_response(), &row.info.name));
        }
    }
    Err(missing())
}

/// Sets a content type that no browser runs, and the name under which the file is saved.
fn with_safe_type(mut response: Response, name: &str) -> Response {
    let (content_type, place) = content_type(name);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_DISPOSITION, disposition(place, name));
    response
}

/// The type of a file by its name, and whether a browser shows it or saves it.
fn content_type(name: &str) -> (&'static str, &'static str) {
    match name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).as_deref() {
        Some("txt" | "log") => ("text/plain; charset=utf-8", "inline"),
        Some("gz") => ("application/gzip", "attachment"),
        _ => ("application/octet-stream", "attachment"),
    }
}

/// RFC 6266: the last part of the name, for old browsers in ASCII, for others percent-encoded.
fn disposition(place: &str, name: &str) -> HeaderValue {
    let last = name.rsplit('/').next().filter(|last| !matches!(*last, "" | "." | "..")).unwrap_or("file");
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-._+".contains(c) { c } else { '_' };
    let ascii: String = last.chars().map(plain).collect();
    let text = format!("{place}; filename=\"{ascii}\"; filename*=UTF-8''{}", links::query(last));
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_browser_runs_a_file() {
        for (name, expected, place) in [
            ("a/make.LOG", "text/plain; charset=utf-8", "inline"),
            ("notes.txt", "text/plain; charset=utf-8", "inline"),
            ("logs/02-make.out.gz", "application/gzip", "attachment"),
            ("x.html", "application/octet-stream", "attachment"),
            ("x.svg", "application/octet-stream", "attachment"),
            ("log", "application/octet-stream", "attachment"),
            ("a.txt/b", "application/octet-stream", "attachment"),
        ] {
            assert_eq!(content_type(name), (expected, place), "{name}");
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
