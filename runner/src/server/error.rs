//! Why a call has no answer, and what follows from it: whether it is worth another try, whether the server may have carried it
//! out all the same, and whether the cause is the server or what was sent. Everything else follows from these.

use std::time::Duration;

use reqwest::StatusCode;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("cannot reach it: {0}")]
    Unreachable(String),
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("no answer within {} s", .0.as_secs().max(1))]
    Timeout(Duration),
    #[error("stalled: accepted no data for {} s", .0.as_secs().max(1))]
    Stalled(Duration),
    /// An HTTP answer that is not one to the call.
    #[error("it answered {status}{text}")]
    Status {
        status: StatusCode,
        /// `: ` and the beginning of its body, or `; ` and a hint.
        text: String,
        retry_after: Option<Duration>,
    },
    #[error("it does not speak XML-RPC there ({what}); is `{url}` a pony-build server?")]
    NotXmlRpc { what: String, url: String },
    /// A page for people instead of an answer.
    #[error(
        "it answered with a web page{}; does a login page or a gateway stand before it, or is `{url}` not a pony-build server?",
        titled(title)
    )]
    Page { title: String, url: String },
    #[error("it refused: {0}")]
    Fault(#[from] pony_wire::Fault),
    /// XML-RPC, but nothing that the call can be answered with.
    #[error("unexpected answer; is this a pony-build server?")]
    Unexpected,
    /// devmason says `Processed Correctly` in any case.
    #[error("it confirmed the result, but does not have it: {0}")]
    Lost(String),
    #[error("it has moved to {0}; use that address")]
    Moved(String),
    #[error("redirect loop at {0}")]
    RedirectLoop(String),
    #[error("cannot get its password: {0}")]
    Login(String),
    /// This machine's own server does not start.
    #[error("cannot open the results file: {0}")]
    Embedded(String),
    #[error("cannot read `{path}`: {error}")]
    Read { path: String, error: String },
}

fn titled(title: &str) -> String {
    if title.is_empty() { String::new() } else { format!(" (“{title}”)") }
}

/// Words in faults of Python servers whose cause is the machine, not what was sent.
const MACHINE_FAULTS: [&str; 8] =
    ["IOError", "OSError", "OperationalError", "DatabaseError", "MemoryError", "timeout", "locked", "disk"];

impl CallError {
    /// The same call would fail in the same way.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                let passes = [408, 421, 423, 425, 429].contains(&status.as_u16());
                (status.is_client_error() && !passes) || matches!(status.as_u16(), 501 | 505)
            }
            Self::Fault(fault) => !MACHINE_FAULTS.iter().any(|word| fault.message.contains(word)),
            Self::Moved(_) | Self::RedirectLoop(_) | Self::Lost(_) | Self::Read { .. } => true,
            Self::Unreachable(_)
            | Self::Broken(_)
            | Self::Timeout(_)
            | Self::Stalled(_)
            | Self::NotXmlRpc { .. }
            | Self::Page { .. }
            | Self::Unexpected
            | Self::Embedded(_)
            | Self::Login(_) => false,
        }
    }

    /// The server may have done what the call asks for: its answer is missing or cannot be read.
    pub(crate) fn may_have_arrived(&self) -> bool {
        match self {
            Self::Broken(_)
            | Self::Timeout(_)
            | Self::Stalled(_)
            | Self::NotXmlRpc { .. }
            | Self::Page { .. }
            | Self::Unexpected => true,
            // It may come from a gateway that has passed the call on.
            Self::Status { status, .. } => status.is_server_error(),
            // It may come after the call was carried out.
            Self::Fault(_) => !self.is_permanent(),
            Self::Unreachable(_)
            | Self::Lost(_)
            | Self::Moved(_)
            | Self::RedirectLoop(_)
            | Self::Login(_)
            | Self::Embedded(_)
            | Self::Read { .. } => false,
        }
    }

    /// The cause is the server, not what was sent: other calls would fail in the same way, or wait as long.
    pub(crate) fn affects_server(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504 | 507),
            Self::Unreachable(_)
            | Self::Timeout(_)
            | Self::Stalled(_)
            | Self::Login(_)
            | Self::Embedded(_)
            | Self::Page { .. } => true,
            _ => false,
        }
    }

    /// The login was refused; another one may not be.
    pub(crate) fn is_login(&self) -> bool {
        matches!(self, Self::Status { status, .. } if matches!(status.as_u16(), 401 | 403 | 407))
    }

    /// `Retry-After`
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use pony_wire::Fault;

    use super::*;

    fn status(code: u16) -> CallError {
        let status = StatusCode::from_u16(code).unwrap();
        CallError::Status { status, text: String::new(), retry_after: None }
    }

    fn fault(message: &str) -> CallError {
        Fault { code: 1, message: message.to_owned() }.into()
    }

    #[test]
    fn what_follows_from_each_failure() {
        // error, permanent, may have arrived, affects server
        let text = || "x".to_owned();
        for (error, is_permanent, may_have_arrived, affects_server) in [
            (CallError::Unreachable(text()), false, false, true),
            (CallError::Broken(text()), false, true, false),
            (CallError::Timeout(Duration::ZERO), false, true, true),
            (CallError::Stalled(Duration::ZERO), false, true, true),
            (status(400), true, false, false),
            (status(401), true, false, false),
            (status(404), true, false, false),
            (status(408), false, false, false),
            (status(413), true, false, false),
            (status(429), false, false, true),
            (status(500), false, true, false),
            (status(501), true, true, false),
            (status(503), false, true, true),
            (status(507), false, true, true),
            (CallError::NotXmlRpc { what: text(), url: text() }, false, true, false),
            (CallError::Page { title: text(), url: text() }, false, true, true),
            (fault("<type 'exceptions.KeyError'>:'host'"), true, false, false),
            (fault("<class 'sqlite3.OperationalError'>:database is locked"), false, true, false),
            (CallError::Unexpected, false, true, false),
            (CallError::Moved(text()), true, false, false),
            (CallError::RedirectLoop(text()), true, false, false),
        ] {
            let flags = (error.is_permanent(), error.may_have_arrived(), error.affects_server());
            assert_eq!(flags, (is_permanent, may_have_arrived, affects_server), "{error}");
        }
        assert!(status(403).is_login() && !status(404).is_login());
    }
}
