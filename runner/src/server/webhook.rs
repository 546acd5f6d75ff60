//! JSON posted to an address of no pony-build server.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, Url};

use super::{
    address::Address,
    error::CallError,
    http::{self, Content, Request},
    login::Login,
    response::first_line,
};

/// Posts it. The error names neither the address nor where it redirects to: whoever knows it may post.
pub(crate) async fn post(url: &Url, json: Bytes, limit: Duration) -> Result<(), CallError> {
    let address = Address::new(url.as_str()).map_err(|_| CallError::Unexpected)?;
    let login = address
        .credentials()
        .map(|(user, password)| Login { user: user.clone(), password: password.clone() });
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let client = http::client(address.is_loopback(), None)?;
    let content = Content::Document { kind: "application/json", bytes: json };
    let request = Request { method: Method::POST, url, content, login: login.as_ref(), limit };
    let response = http::send(&client, request).await.map_err(|error| match error {
        CallError::Moved(_) | CallError::RedirectLoop(_) => CallError::Moved("another address".to_owned()),
        CallError::NotXmlRpc { what, .. } => CallError::Broken(what),
        error => error,
    })?;
    if response.status.is_success() {
        return Ok(());
    }
    let line = first_line(&response.body);
    let text = if line.is_empty() { line } else { format!(": {line}") };
    Err(CallError::Status { status: response.status, text, retry_after: response.retry_after })
}
