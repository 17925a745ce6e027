//! The addresses of the console: pages, forms, and the routes that the router matches.

use std::fmt::Write as _;

/// The sign-in page, and the address that its form is sent to.
pub const SIGN_IN: &str = "/sign-in";
/// The address that the sign-out form is sent to.
pub const SIGN_OUT: &str = "/sign-out";
/// The page of the first admin's one-time link, and the address of its form.
pub const SETUP: &str = "/setup";
/// The page of every other one-time link, and the address of its form.
pub const INVITATION: &str = "/invitation";
/// The address that the theme's form is sent to.
pub const THEME: &str = "/theme";
/// The API reference, which the server renders without this crate.
pub const API_REFERENCE: &str = "/docs/api";

/// The first page after signing in.
pub const SETTINGS: &str = "/settings";
pub const AUDIT_TRAIL: &str = "/settings/audit-trail";
pub const LOGS: &str = "/settings/audit-trail/logs";
/// The download of the events that Audit Logs shows.
pub const LOGS_EXPORT: &str = "/settings/audit-trail/logs/export";
pub const STREAMING: &str = "/settings/audit-trail/streaming";
pub const NEW_DESTINATION: &str = "/settings/audit-trail/streaming/new";
/// The axum route of a destination's toggle; see [`destination_status`].
pub const DESTINATION_STATUS_ROUTE: &str = "/settings/audit-trail/streaming/{id}/status";
pub const CONNECTORS: &str = "/settings/connectors";
pub const NEW_CONNECTOR: &str = "/settings/connectors/new";
pub const USERS: &str = "/settings/access";
pub const TOKENS: &str = "/settings/access/tokens";
pub const SIGN_INS: &str = "/settings/access/sign-ins";
pub const YOUR_ACCOUNT: &str = "/settings/access/you";
pub const RETENTION: &str = "/settings/retention";

/// The pages above a page, outermost first: label and address.
pub type Breadcrumbs = &'static [(&'static str, &'static str)];

/// The breadcrumbs of the pages directly under Account Settings.
pub const UNDER_SETTINGS: Breadcrumbs = &[("Account Settings", SETTINGS)];
/// The breadcrumbs of the pages of one streaming destination.
pub const UNDER_STREAMING: Breadcrumbs = &[
    ("Account Settings", SETTINGS),
    ("Audit Trail", AUDIT_TRAIL),
    ("Audit Log Streaming", STREAMING),
];
/// The breadcrumbs of the pages of one connector.
pub const UNDER_CONNECTORS: Breadcrumbs = &[("Account Settings", SETTINGS), ("Connectors", CONNECTORS)];

/// Returns whether a page redirects a visitor without a session to the sign-in page.
#[must_use]
pub fn requires_session(path: &str) -> bool {
    path.strip_prefix(SETTINGS)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the sign-in page that leads to `next` afterwards.
#[must_use]
pub fn sign_in_to(next: &str) -> String {
    format!("{SIGN_IN}?next={}", percent_encoded(next))
}

/// Returns the page of a one-time link: `page` is [`SETUP`] or [`INVITATION`].
#[must_use]
pub fn one_time_link(page: &str, token: &str) -> String {
    format!("{page}?token={}", percent_encoded(token))
}

/// Returns Audit Logs with all events that match one filter.
#[must_use]
pub fn logs_of(filter: &str, value: &str) -> String {
    format!("{LOGS}?{filter}={}&range=all", percent_encoded(value))
}

#[must_use]
pub fn destination(id: &str) -> String {
    format!("{STREAMING}/{id}")
}

#[must_use]
pub fn edit_destination(id: &str) -> String {
    format!("{STREAMING}/{id}/edit")
}

/// Returns the address that a destination's toggle is sent to.
#[must_use]
pub fn destination_status(id: &str) -> String {
    format!("{STREAMING}/{id}/status")
}

#[must_use]
pub fn edit_connector(id: &str) -> String {
    format!("{CONNECTORS}/{id}/edit")
}

/// Encodes all but unreserved characters and slashes.
#[must_use]
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The routes of the router. Those of the console are relative to [`SETTINGS`].
pub(crate) mod routes {
    use leptos_router::{PossibleRouteMatch, path};

    macro_rules! routes {
        ($($name:ident = $path:tt;)*) => {
            $(pub(crate) fn $name() -> impl PossibleRouteMatch + Clone {
                path!($path)
            })*
        };
    }

    routes! {
        sign_in = "/sign-in";
        setup = "/setup";
        invitation = "/invitation";
        settings = "/settings";
        audit_trail = "audit-trail";
        logs = "audit-trail/logs";
        streaming = "audit-trail/streaming";
        new_destination = "audit-trail/streaming/new";
        destination = "audit-trail/streaming/:id";
        edit_destination = "audit-trail/streaming/:id/edit";
        connectors = "connectors";
        new_connector = "connectors/new";
        edit_connector = "connectors/:id/edit";
        users = "access";
        tokens = "access/tokens";
        sign_ins = "access/sign-ins";
        your_account = "access/you";
        retention = "retention";
    }
}

#[cfg(test)]
mod tests {
    use leptos_router::PossibleRouteMatch;

    use super::*;

    fn matches(route: &impl PossibleRouteMatch, address: &str) -> bool {
        route.test(address).is_some_and(|found| found.remaining().is_empty())
    }

    #[test]
    fn every_page_has_a_route() {
        assert!(matches(&routes::sign_in(), SIGN_IN));
        assert!(matches(&routes::setup(), SETUP));
        assert!(matches(&routes::invitation(), INVITATION));
        assert!(matches(&routes::settings(), SETTINGS));
        let relative = |address: &str| address.strip_prefix(SETTINGS).unwrap().to_owned();
        macro_rules! assert_matches {
            ($($route:ident: $address:expr;)*) => {
                $(assert!(matches(&routes::$route(), &relative(&$address)), "{}", $address);)*
            };
        }
        assert_matches! {
            audit_trail: AUDIT_TRAIL;
            logs: LOGS;
            streaming: STREAMING;
            new_destination: NEW_DESTINATION;
            destination: destination("siem");
            edit_destination: edit_destination("siem");
            connectors: CONNECTORS;
            new_connector: NEW_CONNECTOR;
            edit_connector: edit_connector("aws");
            users: USERS;
            tokens: TOKENS;
            sign_ins: SIGN_INS;
            your_account: YOUR_ACCOUNT;
            retention: RETENTION;
        }
    }

    #[test]
    fn every_page_of_the_account_requires_a_session() {
        for (path, expected) in [
            (SETTINGS, true),
            (YOUR_ACCOUNT, true),
            (SIGN_IN, false),
            ("/settings-of", false),
        ] {
            assert_eq!(requires_session(path), expected, "{path}");
        }
    }

    #[test]
    fn the_address_to_return_to_is_encoded() {
        assert_eq!(
            sign_in_to("/settings/audit-trail/logs?q=a b&range=all"),
            "/sign-in?next=/settings/audit-trail/logs%3Fq%3Da%20b%26range%3Dall"
        );
        assert_eq!(
            DESTINATION_STATUS_ROUTE.replace("{id}", "siem"),
            destination_status("siem")
        );
    }
}
