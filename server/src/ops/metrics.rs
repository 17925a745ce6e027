//! `/metrics`: metrics for Prometheus. Without a token they are available from this host only, and
//! not through a proxy on this host.

use std::net::SocketAddr;

use auditstream_engine::metrics;
use auditstream_model::Code;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, FORWARDED, HeaderName, VIA};
use axum::http::{HeaderMap, Uri};
use axum::response::IntoResponse;
use subtle::ConstantTimeEq as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::origins::is_loopback;
use crate::http::problem::Refusal;
use crate::log;
use crate::openapi::names::tag;
use crate::state::AppState;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The route for Prometheus.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(show))
}

/// Read the metrics
///
/// For Prometheus. Without `AUDITSTREAM_METRICS_TOKEN` they are available from the server's own
/// host only.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = tag::OPERATION,
    security((), ("metrics_token" = [])),
    responses(
        (status = OK, description = "The metrics.", body = String, content_type = "text/plain"),
        (status = UNAUTHORIZED, description = "`unauthenticated`: the metrics token is missing or invalid."),
        (status = FORBIDDEN, description = "`forbidden`: the request comes from another host."),
    )
)]
async fn show(State(state): State<AppState>, request: Request) -> Result<impl IntoResponse, Refusal> {
    match &state.metrics_token {
        Some(token) if !has_token(request.headers(), token) => {
            return Err(Refusal::new(
                Code::Unauthenticated,
                "Send the metrics token as “Authorization: Bearer …”. It is AUDITSTREAM_METRICS_TOKEN on the server.",
            ));
        }
        None if !is_from_here(&state, &request) || !is_local(&state.public_url) => {
            return Err(Refusal::new(
                Code::Forbidden,
                "Metrics are only available from the server's own host. Set AUDITSTREAM_METRICS_TOKEN on the server to read \
                 them from elsewhere.",
            ));
        }
        _ => {}
    }
    let text = metrics::render(&state.engine).await + &log::metrics();
    Ok(([(CONTENT_TYPE, TEXT), (CACHE_CONTROL, "no-store")], text))
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    sent.and_then(|value| value.split_once(' '))
        .is_some_and(|(scheme, sent)| {
            scheme.eq_ignore_ascii_case("bearer") && sent.trim().as_bytes().ct_eq(token.as_bytes()).into()
        })
}

/// Whether browsers reach this server without a proxy, whose requests would seem to come from this
/// host.
fn is_local(public_url: &str) -> bool {
    let host = public_url
        .parse::<Uri>()
        .ok()
        .and_then(|url| url.host().map(str::to_owned));
    host.is_some_and(|host| is_loopback(&host))
}

/// Whether the request comes from this host itself and not through a proxy.
fn is_from_here(state: &AppState, request: &Request) -> bool {
    const FORWARDED_BY: [HeaderName; 6] = [
        FORWARDED,
        VIA,
        HeaderName::from_static("x-forwarded-for"),
        HeaderName::from_static("x-forwarded-host"),
        HeaderName::from_static("x-forwarded-proto"),
        HeaderName::from_static("x-real-ip"),
    ];
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback() && !state.proxies.contain(peer.0.ip()))
        && !FORWARDED_BY.iter().any(|name| request.headers().contains_key(name))
}
