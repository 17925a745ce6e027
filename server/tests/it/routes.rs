//! Every route of the router, for tests that must not miss one.

use std::collections::{BTreeMap, BTreeSet};

/// The routes of a router: methods in upper case, with paths.
pub(crate) fn of(router: &axum::Router) -> BTreeSet<(String, String)> {
    // The router exposes its routes only in its `Debug` output: all paths, and the methods of each.
    let shown = format!("{router:?}");
    let routes = between(&shown, "path_router: PathRouter {", "node: Node {");
    let paths = between(&shown, "node: Node { paths: {", "fallback_router:");
    let paths: BTreeMap<&str, &str> = paths.split("RouteId(").filter_map(path).collect();
    let endpoints: BTreeMap<&str, &str> = routes.split("RouteId(").filter_map(endpoint).collect();
    let same = paths.keys().eq(endpoints.keys());
    assert!(
        same && paths.len() > 20,
        "the `Debug` output of the router has changed: {shown}"
    );
    let mut found = BTreeSet::new();
    for (number, path) in paths {
        let methods = methods(endpoints[number]);
        assert!(!methods.is_empty(), "{path} has no method");
        found.extend(methods.into_iter().map(|method| (method, path.to_owned())));
    }
    found
}

/// `7): "/v1/connectors", `
fn path(shown: &str) -> Option<(&str, &str)> {
    let (number, rest) = shown.split_once("): \"")?;
    Some((number, rest.split_once('"')?.0))
}

/// `7): MethodRouter(MethodRouter { get: Route, …`
fn endpoint(shown: &str) -> Option<(&str, &str)> {
    shown.split_once("): MethodRouter(")
}

fn methods(endpoint: &str) -> Vec<String> {
    let known = ["get", "post", "put", "patch", "delete"];
    let has = |method: &&str| {
        let shown = endpoint.split_once(&format!("{method}: ")).map(|(_, shown)| shown);
        !shown
            .unwrap_or_else(|| panic!("the `Debug` output of the router has changed: {endpoint}"))
            .starts_with("None")
    };
    known
        .iter()
        .filter(|method| has(method))
        .map(|method| method.to_uppercase())
        .collect()
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text
        .split_once(start)
        .unwrap_or_else(|| panic!("no “{start}” in {text}"));
    rest.split_once(end)
        .unwrap_or_else(|| panic!("no “{end}” after “{start}” in {text}"))
        .0
}
