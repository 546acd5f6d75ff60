//! Why a call has no answer, and what follows from it: whether it is worth trying again, and whether the server may have
//! done what it was asked for all the same.

use std::time::Duration;

use reqwest::StatusCode;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection.
    #[error("cannot reach it: {0}")]
    Unreachable(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs().max(1))]
    Timeout(Duration),
    /// It takes no more of a file.
    #[error("it took nothing for {} s", .0.as_secs().max(1))]
    Silent(Duration),
    /// An HTTP answer that is none to the call.
    #[error("it answered {status}{text}")]
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// `: ` and the beginning of what it said, or `; ` and a way out.
        text: String,
        /// It asks to be left alone for so long.
        retry_after: Option<Duration>,
    },
    /// Not XML-RPC.
    #[error("it does not speak XML-RPC there ({what}); is `{url}` a pony-build server?")]
    NotXmlRpc {
        /// What was wrong with the answer.
        what: String,
        /// Where it was sent.
        url: String,
    },
    /// A page for people instead of an answer.
    #[error(
        "it answered with a web page{}; is a login or a gateway before it, or is `{url}` no pony-build server?",
        titled(title)
    )]
    Page {
        /// The page's title.
        title: String,
        /// Where it was sent.
        url: String,
    },
    /// It understood and refused.
    #[error("it refused: {0}")]
    Fault(#[from] pony_wire::Fault),
    /// The answer means nothing.
    #[error("its answer is none that a pony-build server gives")]
    Answer,
    /// It took the result, and then does not have it: devmason says `Processed Correctly` in any case.
    #[error("it said that it took the result, and does not have it: {0}")]
    Lost(String),
    /// It points elsewhere.
    #[error("it has moved to {0}; give it that address")]
    Moved(String),
    /// It points in a circle.
    #[error("it points to {0}, and on, without end")]
    Circle(String),
    /// The login cannot be found out.
    #[error("its login cannot be had: {0}")]
    Login(String),
    /// This machine's own server does not start.
    #[error("the results file cannot be opened: {0}")]
    Hosted(String),
    /// A file that is to be sent cannot be read.
    #[error("cannot read `{path}`: {error}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        error: String,
    },
}

fn titled(title: &str) -> String {
    if title.is_empty() { String::new() } else { format!(" (“{title}”)") }
}

/// Words in faults of Python servers that speak of the machine, not of what was sent.
const OF_THE_MACHINE: [&str; 8] =
    ["IOError", "OSError", "OperationalError", "DatabaseError", "MemoryError", "timeout", "locked", "disk"];

impl CallError {
    /// The next try of the same would end in the same way.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                let passes = [408, 421, 423, 425, 429].contains(&status.as_u16());
                (status.is_client_error() && !passes) || matches!(status.as_u16(), 501 | 505)
            }
            Self::Fault(fault) => !OF_THE_MACHINE.iter().any(|word| fault.message.contains(word)),
            Self::Moved(_) | Self::Circle(_) | Self::Lost(_) | Self::Read { .. } => true,
            Self::Unreachable(_)
            | Self::Broken(_)
            | Self::Timeout(_)
            | Self::Silent(_)
            | Self::NotXmlRpc { .. }
            | Self::Page { .. }
            | Self::Answer
            | Self::Hosted(_)
            | Self::Login(_) => false,
        }
    }

    /// The server may have done what it was asked for: the answer did not come, or was none.
    pub fn may_be_done(&self) -> bool {
        match self {
            Self::Broken(_)
            | Self::Timeout(_)
            | Self::Silent(_)
            | Self::NotXmlRpc { .. }
            | Self::Page { .. }
            | Self::Answer => true,
            // Who stands before a server speaks for itself.
            Self::Status { status, .. } => status.is_server_error(),
            // A fault may come from the way to the answer.
            Self::Fault(_) => !self.is_final(),
            Self::Unreachable(_)
            | Self::Lost(_)
            | Self::Moved(_)
            | Self::Circle(_)
            | Self::Login(_)
            | Self::Hosted(_)
            | Self::Read { .. } => false,
        }
    }

    /// It is the server, not what was sent: the next call of another kind would end in the same way, or wait as long.
    pub fn is_of_the_server(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504 | 507),
            Self::Unreachable(_)
            | Self::Timeout(_)
            | Self::Silent(_)
            | Self::Login(_)
            | Self::Hosted(_)
            | Self::Page { .. } => true,
            _ => false,
        }
    }

    /// It is not let in.
    pub fn is_of_the_login(&self) -> bool {
        matches!(self, Self::Status { status, .. } if matches!(status.as_u16(), 401 | 403 | 407))
    }

    /// How long it asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
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
    fn what_passes_is_told_from_what_does_not() {
        // error, final, may be done, of the server
        let text = || "x".to_owned();
        for (error, is_final, may_be_done, of_the_server) in [
            (CallError::Unreachable(text()), false, false, true),
            (CallError::Broken(text()), false, true, false),
            (CallError::Timeout(Duration::ZERO), false, true, true),
            (CallError::Silent(Duration::ZERO), false, true, true),
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
            (CallError::Answer, false, true, false),
            (CallError::Moved(text()), true, false, false),
            (CallError::Circle(text()), true, false, false),
        ] {
            let told = (error.is_final(), error.may_be_done(), error.is_of_the_server());
            assert_eq!(told, (is_final, may_be_done, of_the_server), "{error}");
        }
        assert!(status(403).is_of_the_login() && !status(404).is_of_the_login());
    }
}
