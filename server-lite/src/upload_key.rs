//! The key with which a client adds files to its result.

use sha2::{Digest, Sha256};

/// 128 random bits in hexadecimal, `auth_key` in the protocol. Only its hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct UploadKey(String);

impl UploadKey {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_key = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_key.then(|| Self(text.to_owned()))
    }

    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(format!("{:032x}", u128::from_be_bytes(bytes))))
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_128_bits_in_hex_and_differ() {
        let (a, b) = (UploadKey::random().unwrap(), UploadKey::random().unwrap());
        assert_ne!(a.hash(), b.hash());
        let text = a.into_text();
        assert!(UploadKey::parse(&text).is_some(), "{text}");
    }
}
