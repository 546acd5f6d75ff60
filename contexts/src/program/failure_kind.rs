//! Kinds of failures, and the messages that programs share.

/// What a message of a program means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    DiskFull,
    NoSuchHost,
    Authentication,
    NoSuchRepository,
    Unreachable,
    /// The cache entry is broken.
    Damaged,
}

/// Messages that programs share, as they come from the system, from ssh or from common libraries.
const SHARED: [(FailureKind, &[&str]); 4] = [
    (FailureKind::DiskFull, &["no space left on device", "disk quota exceeded", "disk full", "disk is full"]),
    (
        FailureKind::NoSuchHost,
        &[
            "could not resolve host",
            "name or service not known",
            "nodename nor servname",
            "failed to lookup address",
        ],
    ),
    (FailureKind::Authentication, &["permission denied (", "host key verification failed"]),
    (
        FailureKind::Unreachable,
        &[
            "connection aborted",
            "connection broken",
            "connection closed",
            "connection refused",
            "connection reset",
            "connection timed out",
            "network is unreachable",
            "no route to host",
            "operation timed out",
            "temporary failure in name resolution",
        ],
    ),
];

/// Parts of shared messages of this kind, in lower case.
fn shared(kind: FailureKind) -> &'static [&'static str] {
    SHARED.iter().find(|(of, _)| *of == kind).map_or(&[], |(_, parts)| parts)
}

/// Whether `line`, in lower case, is a shared message of this kind.
pub(crate) fn mentions(line: &str, kind: FailureKind) -> bool {
    shared(kind).iter().any(|part| line.contains(part))
}
