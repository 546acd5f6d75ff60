//! What a server answers to a call: a value or a fault.

use crate::value::Value;

/// A value, which the types of this crate read, or a fault.
pub type Answer = Result<Value, Fault>;

/// An XML-RPC fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fault {code}: {message}")]
pub struct Fault {
    /// 1 on all pony-build servers.
    pub code: i64,
    /// On the Python servers the exception: `<type 'exceptions.KeyError'>:'host'`.
    pub message: String,
}

impl Fault {
    /// A fault with the code that the Python servers give to every exception.
    pub(crate) fn python(message: String) -> Self {
        Self { code: 1, message }
    }
}
