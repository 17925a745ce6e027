//! The HTTP clients of the SDK: one for AWS itself, and one for custom endpoints, restricted by the
//! [`AddressPolicy`] of their account. The SDK follows no redirects, so each connection is to the
//! endpoint itself.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

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

use super::settings::Timeouts;
use super::transfer::TimedClient;
use crate::egress_policy::AddressPolicy;

const TLS: Provider = Provider::Rustls(CryptoMode::Ring);

/// Creates the client for AWS itself: the SDK's default client, on ring instead of aws-lc.
pub(super) fn unrestricted_client(timeouts: Timeouts) -> SharedHttpClient {
    let client = Builder::new()
        .build_with_connector_fn(|settings, components| connector(settings, components).tls_provider(TLS).build());
    SharedHttpClient::new(TimedClient { timeouts, client })
}

/// Creates the client for custom endpoints. The policy does not apply to the connections that a
/// proxy opens.
pub(super) fn restricted_client(address_policy: AddressPolicy, timeouts: Timeouts) -> SharedHttpClient {
    let client = Builder::new().build_with_connector_fn(move |settings, components| {
        connector(settings, components)
            .tls_provider(TLS)
            .build_with_resolver(Resolver::new(address_policy))
    });
    let client = SharedHttpClient::new(TimedClient { timeouts, client });
    SharedHttpClient::new(RestrictedClient { address_policy, client })
}

/// Creates what [`restricted_client`] uses, for requests other than those of the SDK. The caller
/// sets a deadline for each.
pub(crate) fn restricted_connector(address_policy: AddressPolicy) -> SharedHttpConnector {
    let connector = connector(None, None)
        .tls_provider(TLS)
        .build_with_resolver(Resolver::new(address_policy));
    SharedHttpConnector::new(RestrictedConnector {
        address_policy,
        connector: SharedHttpConnector::new(connector),
    })
}

/// Uses the proxies of the environment, as the SDK's default client does.
fn connector(settings: Option<&HttpConnectorSettings>, components: Option<&RuntimeComponents>) -> ConnectorBuilder {
    let mut connector = ConnectorBuilder::default();
    connector.set_connector_settings(settings.cloned());
    if let Some(components) = components {
        connector.set_sleep_impl(components.sleep_impl());
    }
    connector.set_proxy_config(Some(ProxyConfig::from_env()));
    connector
}

#[derive(Clone, Debug)]
struct Resolver {
    address_policy: AddressPolicy,
    /// The names of the environment's proxies, in lower case. They are the operator's, and may be
    /// private in any case.
    proxies: Arc<HashSet<String>>,
}

impl Resolver {
    fn new(address_policy: AddressPolicy) -> Self {
        const VARIABLES: [&str; 6] = [
            "HTTP_PROXY",
            "http_proxy",
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "all_proxy",
        ];
        let values = VARIABLES.iter().filter_map(|name| std::env::var(name).ok());
        Self {
            address_policy,
            proxies: Arc::new(values.filter_map(|value| proxy_host(&value)).collect()),
        }
    }
}

/// Returns the host of a proxy, which may be written without a scheme.
fn proxy_host(value: &str) -> Option<String> {
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    let url: Uri = format!("http://{rest}").parse().ok()?;
    Some(url.host()?.to_ascii_lowercase())
}

impl ResolveDns for Resolver {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        let policy = if self.proxies.contains(&name.to_ascii_lowercase()) {
            AddressPolicy { private: true }
        } else {
            self.address_policy
        };
        DnsFuture::new(async move {
            let addresses: Result<Vec<IpAddr>, _> = policy.resolve(name).await;
            addresses.map_err(ResolveDnsError::new)
        })
    }
}

/// Checks IP addresses in the URL, which are never resolved. It sees the final URL: the SDK may
/// have put the bucket's name in front of the endpoint's, and the two together can form an address.
#[derive(Debug)]
struct RestrictedClient {
    address_policy: AddressPolicy,
    client: SharedHttpClient,
}

impl HttpClient for RestrictedClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(RestrictedConnector {
            address_policy: self.address_policy,
            connector: self.client.http_connector(settings, components),
        })
    }
}

#[derive(Debug)]
struct RestrictedConnector {
    address_policy: AddressPolicy,
    connector: SharedHttpConnector,
}

impl HttpConnector for RestrictedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let checked = match request.uri().parse::<Uri>() {
            Ok(url) => self
                .address_policy
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_proxy_is_found_however_it_is_written() {
        for value in [
            "http://Proxy.corp:3128",
            "proxy.corp:3128",
            "https://user:secret@proxy.corp/",
            "socks5://proxy.corp:1080",
        ] {
            assert_eq!(proxy_host(value).as_deref(), Some("proxy.corp"), "{value}");
        }
        assert_eq!(proxy_host(""), None);
    }
}
