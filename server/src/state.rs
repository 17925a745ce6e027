//! The state that handlers share.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use auditstream_engine::Engine;
use axum::extract::FromRef;
use leptos::prelude::LeptosOptions;
use leptos_axum::AxumRouteListing;

use crate::http::body_limit::BodyReader;
use crate::http::client_address::Proxies;
use crate::http::origins::Origins;
use crate::http::response_memory::ResponseMemory;

/// Shared by all requests. Cheap to clone: each layer of the router has a copy for each request.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

/// The parts of the state.
#[derive(Clone)]
pub struct Parts {
    /// Every operation of the product.
    pub engine: Engine,
    /// The scheme and host that browsers use: `https://audit.example.com`.
    pub public_url: Arc<str>,
    /// The origins whose pages may ask for changes.
    pub origins: Origins,
    /// The proxies whose forwarding headers are trusted.
    pub proxies: Proxies,
    /// The Bearer token for the metrics; without one only this host may read them.
    pub metrics_token: Option<Arc<str>>,
    /// Whether the server has been asked to stop: it is not ready any more.
    pub stopping: Arc<AtomicBool>,
    /// Reads request bodies within the memory budget.
    pub body_reader: BodyReader,
    /// The memory of responses that are being sent.
    pub response_memory: ResponseMemory,
    /// How pages refer to the files of the site.
    pub leptos: LeptosOptions,
    /// The console's pages.
    pub pages: Arc<Vec<AxumRouteListing>>,
}

impl From<Parts> for AppState {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Changes this copy of the state only.
impl DerefMut for AppState {
    fn deref_mut(&mut self) -> &mut Parts {
        Arc::make_mut(&mut self.0)
    }
}

impl AppState {
    /// Whether browsers use HTTPS, so that cookies require it.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        state.leptos.clone()
    }
}
