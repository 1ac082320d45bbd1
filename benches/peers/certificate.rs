//! A self-signed certificate for the rows over TLS. The load generators do not verify it.

use std::path::{Path, PathBuf};

/// The files of a certificate: the chain, the key, and both in one, which is what HAProxy reads.
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
    pub both: PathBuf,
}

impl Certificate {
    /// Makes one in `folder`: ECDSA on P-256, the same for every program.
    pub fn make(folder: &Path) -> Self {
        let names = vec!["peers.test".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file in a temporary folder");
            path
        };
        Self {
            both: write("both.pem", &format!("{chain}{key}")),
            chain: write("chain.pem", &chain),
            key: write("key.pem", &key),
        }
    }
}
