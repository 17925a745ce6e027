//! What every handler can reach.

use std::sync::Arc;

use auditstream_engine::Engine;
use axum::extract::FromRef;
use axum::http::Extensions;
use leptos::prelude::LeptosOptions;
use leptos_axum::AxumRouteListing;

use crate::http::body_limit::Bodies;
use crate::http::client_address::{ClientAddress, Proxies};
use crate::http::origins::Origins;

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// All that the product does.
    pub engine: Engine,
    /// What browsers see in front of every path: `https://audit.example.com`.
    pub public_url: Arc<str>,
    /// From where browsers may ask for changes.
    pub origins: Origins,
    /// Whose forwarded addresses are believed.
    pub proxies: Proxies,
    /// What those who read the metrics send; without it only this host may.
    pub metrics_token: Option<Arc<str>>,
    /// The room that bodies of requests have.
    pub bodies: Bodies,
    /// How pages refer to the site's files.
    pub leptos: LeptosOptions,
    /// The console's pages.
    pub pages: Arc<Vec<AxumRouteListing>>,
}

impl AppState {
    /// Whether cookies may only travel over TLS.
    #[must_use]
    pub fn secure(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        state.leptos.clone()
    }
}

/// Who asks: the other end of the connection, or whom a trusted proxy speaks for.
#[must_use]
pub fn client_ip(extensions: &Extensions) -> String {
    extensions
        .get::<ClientAddress>()
        .map(|address| address.0.to_string())
        .unwrap_or_default()
}
