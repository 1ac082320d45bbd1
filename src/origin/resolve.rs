//! `Names`: the origin's addresses by its name, as they were last.
//!
//! The name is looked up for every connection, so a change is followed with the next one. Where the look-up fails, the
//! addresses that it gave last are still the best guess: a name server that is away is no reason to lose an origin that
//! is there.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::OriginError;

/// What the origin's name last stood for.
#[derive(Debug, Default)]
pub struct Names(Mutex<Arc<[SocketAddr]>>);

impl Names {
    /// The addresses that `lookup` finds, or those that it found last.
    ///
    /// # Errors
    ///
    /// [`OriginError::Dns`] if it fails and never found any.
    pub async fn resolve(
        &self,
        lookup: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    ) -> Result<Arc<[SocketAddr]>, OriginError> {
        let why = match lookup.await {
            Ok(found) if !found.is_empty() => {
                let found: Arc<[SocketAddr]> = found.into();
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&found);
                return Ok(found);
            }
            Ok(_) => "no address".to_owned(),
            Err(error) => error.to_string(),
        };
        let last = Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if last.is_empty() {
            return Err(OriginError::Dns(why));
        }
        tracing::warn!(error = %why, "the origin's name does not resolve; its last addresses are tried");
        Ok(last)
    }
}
