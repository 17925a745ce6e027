//! The HTTP client for endpoints that people typed: the SDK's own, which connects to nothing that is out of [`EgressPolicy`]. The
//! SDK follows no redirect, so that each connection is to the endpoint itself.

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

/// Makes the client. Proxies of the environment are used, as the SDK does by itself; what a proxy connects to is its own affair.
pub(super) fn client(egress_policy: EgressPolicy) -> SharedHttpClient {
    let client = Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build_with_resolver(Resolver(egress_policy))
    });
    SharedHttpClient::new(Guarded { egress_policy, client })
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
