//! `Token`: the bearer token of the admin listener (RFC 6750), of which only the digest is kept.

use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};

/// The shortest token, in bytes, so that none is guessed.
const SHORTEST: usize = 16;

/// The longest, in bytes.
const LONGEST: usize = 1024;

/// A token that was configured.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl Token {
    /// Reads a file: the token, and blanks around it.
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("cannot be read ({error})"))?;
        Self::of(text.trim()).ok_or_else(|| "does not hold a token".to_owned())
    }

    /// The token `text`, if it is one: 16 to 1024 visible characters of ASCII.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let fits = (SHORTEST..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(digest(text.as_bytes())))
    }

    /// Whether this is it. How long that takes does not depend on how much of it is right: what is compared are digests,
    /// to their last byte.
    #[must_use]
    pub fn is(&self, presented: &[u8]) -> bool {
        let presented = digest(presented);
        let differing = self.0.iter().zip(presented).fold(0, |differing, (known, byte)| differing | (known ^ byte));
        std::hint::black_box(differing) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        for (text, is_one) in [
            ("0123456789abcdef", true),
            ("0123456789abcde", false),
            (&*"x".repeat(1024), true),
            (&*"x".repeat(1025), false),
            ("0123456789 abcdef", false),
            ("0123456789abcdefé", false),
        ] {
            assert_eq!(Token::of(text).is_some(), is_one, "{text}");
        }
        let token = Token::of("0123456789abcdef").unwrap();
        assert!(token.is(b"0123456789abcdef"));
        for wrong in ["", "0123456789abcdee", "0123456789abcdef0", "1123456789abcdef"] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
