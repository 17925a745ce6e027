//! The state that handlers share.

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

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub struct AppState {
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
