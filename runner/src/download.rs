//! A file brought here over HTTP.

use std::{path::Path, time::Duration};

use pony_contexts::shell::{Download, DownloadError, Downloaded};
use reqwest::{StatusCode, header};
use tokio::{fs::File, io::AsyncWriteExt};

/// From the first packet to a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Brings it to where it is wanted; a file that came only in part is removed. Whoever drops this stops it.
pub(crate) async fn fetch(download: &Download) -> Result<Downloaded, DownloadError> {
    let fetched = receive(download).await;
    if fetched.is_err() {
        let _ = tokio::fs::remove_file(&download.to).await;
    }
    fetched
}

async fn receive(download: &Download) -> Result<Downloaded, DownloadError> {
    // A second install is refused and harmless: the first one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(download.quiet_timeout)
        .user_agent(concat!("pony-run/", env!("CARGO_PKG_VERSION")))
        // The bytes as they are stored: their digest is known beforehand.
        .no_gzip()
        .build()
        .map_err(unreachable)?;
    let mut request = client.get(download.url.to_string());
    if let Some((user, password)) = download.url.user_and_password() {
        request = request.basic_auth(user, Some(password));
    }
    if let Some(known) = &download.known {
        // A date is what `Last-Modified` says, the rest what `ETag` does.
        let is_tag = known.contains('"');
        let name = if is_tag { header::IF_NONE_MATCH } else { header::IF_MODIFIED_SINCE };
        request = request.header(name, known);
    }
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let said = format!("the server answered {status}");
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED if download.known.is_some() => return Ok(Downloaded::Unchanged),
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(DownloadError::NotFound(said)),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(DownloadError::Login(said)),
        StatusCode::TOO_MANY_REQUESTS => return Err(DownloadError::Unreachable(said)),
        status if status.is_server_error() => return Err(DownloadError::Unreachable(said)),
        _ => return Err(DownloadError::Refused(said)),
    }
    let named = |name: header::HeaderName| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    // A file that was changed in this very second may change again in it.
    let modified =
        || named(header::LAST_MODIFIED).filter(|modified| named(header::DATE).as_ref() != Some(modified));
    let version = named(header::ETAG).or_else(modified);
    save(&mut response, &download.to).await?;
    Ok(Downloaded::New { version })
}

async fn save(response: &mut reqwest::Response, to: &Path) -> Result<(), DownloadError> {
    let mut file = File::create(to).await?;
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        file.write_all(&chunk).await?;
    }
    file.sync_all().await?;
    Ok(())
}

/// Faults on the way; the innermost cause says it in the fewest words.
fn unreachable(error: reqwest::Error) -> DownloadError {
    let error = error.without_url();
    if error.is_builder() || error.is_redirect() {
        return DownloadError::Refused(error.to_string());
    }
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let said = cause.to_string();
    let unknown = ["dns", "lookup", "name or service not known", "no such host"];
    let lower = format!("{error:?}").to_lowercase();
    if error.is_connect() && unknown.iter().any(|word| lower.contains(word)) {
        DownloadError::NoSuchHost(said)
    } else {
        DownloadError::Unreachable(said)
    }
}
