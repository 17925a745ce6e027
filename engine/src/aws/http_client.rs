//! The HTTP clients of the SDK: one for AWS itself, and one for the endpoints that users enter, which
//! connects to nothing that the [`EgressPolicy`] refuses. The SDK follows no redirects, so that each
//! connection is to the endpoint itself.

use std::net::IpAddr;

use aws_sdk_s3::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use http::Uri;

use crate::egress_policy::EgressPolicy;

const TLS: Provider = Provider::Rustls(CryptoMode::Ring);

/// Creates the client for AWS itself: the SDK's default client, on ring instead of aws-lc.
pub(super) fn unguarded() -> SharedHttpClient {
    Builder::new()
        .build_with_connector_fn(|settings, components| connector(settings, components).tls_provider(TLS).build())
}

/// Creates the client for the endpoints that users enter. The addresses to which a proxy connects are
/// not checked.
pub(super) fn guarded(egress_policy: EgressPolicy) -> SharedHttpClient {
    let client = Builder::new().build_with_connector_fn(move |settings, components| {
        connector(settings, components)
            .tls_provider(TLS)
            .build_with_resolver(Resolver(egress_policy))
    });
    SharedHttpClient::new(Guarded { egress_policy, client })
}

/// Configures a connector that uses the proxies of the environment, as the SDK's default client does.
fn connector(settings: Option<&HttpConnectorSettings>, components: Option<&RuntimeComponents>) -> ConnectorBuilder {
    let mut connector = ConnectorBuilder::default();
    connector.set_connector_settings(settings.cloned());
    if let Some(components) = components {
        connector.set_sleep_impl(components.sleep_impl());
    }
    connector.set_proxy_config(Some(ProxyConfig::from_env()));
    connector
}

/// The system's resolver without the addresses that are refused.
#[derive(Clone, Copy, Debug)]
struct Resolver(EgressPolicy);

impl ResolveDns for Resolver {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        let found = async move {
            let found: Result<Vec<IpAddr>, _> = self.0.resolve(name).await;
            found.map_err(ResolveDnsError::new)
        };
        DnsFuture::new(found)
    }
}

/// Addresses in the URL itself are never resolved, and are looked at here: after the SDK has put the bucket's name in front
/// of the endpoint's, which may make an address of two names.
#[derive(Debug)]
struct Guarded {
    egress_policy: EgressPolicy,
    client: SharedHttpClient,
}

impl HttpClient for Guarded {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(GuardedConnector {
            egress_policy: self.egress_policy,
            connector: self.client.http_connector(settings, components),
        })
    }
}

#[derive(Debug)]
struct GuardedConnector {
    egress_policy: EgressPolicy,
    connector: SharedHttpConnector,
}

impl HttpConnector for GuardedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let checked = match request.uri().parse::<Uri>() {
            Ok(url) => self
                .egress_policy
                .check_url(&url)
                .map_err(|refusal| ConnectorError::user(refusal.into())),
            Err(error) => Err(ConnectorError::user(error.into())),
        };
        match checked {
            Ok(()) => self.connector.call(request),
            Err(error) => HttpConnectorFuture::ready(Err(error)),
        }
    }
}
