//! Replies that are not pages: refusals with their reasons, and the headers of every reply.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::memory::MemoryPermit;
use crate::request::BodyError;

const SERVER: HeaderValue = HeaderValue::from_static(concat!("pony-serve/", env!("CARGO_PKG_VERSION")));
/// Names this server to clients also behind a proxy, which puts its own name into `Server`.
const X_PONY_BUILD: HeaderName = HeaderName::from_static("x-pony-build");
/// Nothing but our own style sheet. The colours of build output are `style` attributes that we write.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; style-src-attr 'unsafe-inline'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'",
);

/// Adds the headers of every reply.
pub(crate) async fn with_common_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::SERVER, SERVER);
    headers.insert(X_PONY_BUILD, SERVER);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(CONTENT_SECURITY_POLICY);
    response
}

/// Refuses a request whose body may not have been read to its end, and closes the connection.
pub(crate) fn refusal(status: StatusCode, text: impl Into<Body>) -> Response {
    let headers = [(header::CONNECTION, "close"), (header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, headers, text.into()).into_response()
}

/// Refuses a request whose body could not be read.
pub(crate) fn unread_body(error: BodyError, too_large: impl FnOnce() -> String) -> Response {
    match error {
        BodyError::TooLarge => refusal(StatusCode::PAYLOAD_TOO_LARGE, too_large()),
        BodyError::Incomplete => {
            refusal(StatusCode::BAD_REQUEST, "The body of the request could not be read to its end.\n")
        }
        BodyError::TimedOut => {
            refusal(StatusCode::REQUEST_TIMEOUT, "The body of the request did not arrive.\n")
        }
    }
}

/// The client did nothing wrong, and should try again.
pub(crate) fn unavailable(text: &'static str) -> Response {
    let retry = [(header::RETRY_AFTER, HeaderValue::from_static("60"))];
    (StatusCode::SERVICE_UNAVAILABLE, retry, text).into_response()
}

/// For an address that takes POST alone.
pub(crate) fn post_only(text: &'static str) -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], text).into_response()
}

/// A body that returns its memory to the budget once it is sent.
pub(crate) fn body_with_permit(bytes: impl Into<Bytes>, permit: MemoryPermit) -> Body {
    Body::new(BodyWithPermit { bytes: Full::new(bytes.into()), _permit: permit })
}

struct BodyWithPermit {
    bytes: Full<Bytes>,
    _permit: MemoryPermit,
}

impl HttpBody for BodyWithPermit {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.bytes).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        // Only when polled again: until then the bytes are still being sent.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBudget;

    #[tokio::test]
    async fn a_body_has_a_length_and_keeps_its_permit() {
        let budget = MemoryBudget::new(1);
        let body = body_with_permit("text", budget.acquire(1).await);
        assert_eq!(HttpBody::size_hint(&body).exact(), Some(4));
        assert!(!HttpBody::is_end_stream(&body));
        drop(body);
        budget.acquire(1).await;
    }
}
