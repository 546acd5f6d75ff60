//! How much a server accepts.

/// Limits in bytes.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// One call, after decompression.
    pub call: usize,
    /// One uploaded file, after decompression.
    pub upload: u64,
    /// All uploaded files, in blocks of 4 KiB: when one arrives and they exceed this, files of the oldest results are
    /// deleted. A larger file is refused.
    pub files: u64,
}

impl ServerLimits {
    /// 64 MiB, 256 MiB and 10 GiB.
    pub const DEFAULT: Self = Self { call: 64 << 20, upload: 256 << 20, files: 10 << 30 };
}
