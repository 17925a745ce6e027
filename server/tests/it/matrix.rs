//! The authorisation matrix: every route and every server function, called by every kind of caller.
//! A new route or function needs a row.
//!
//! Each row has a separate server, so that rows do not influence each other.

use std::collections::BTreeSet;

use auditstream_engine::{Actor, access};
use auditstream_model::{AccountName, ApiTokenInput, Role, Scope};
use futures::stream::{self, StreamExt as _};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _, Executor as _};

use crate::app::{App, PASSWORD, connector, destination, event, token};
use crate::routes;
use auditstream_testkit::s3::Store;

/// The kinds of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Anonymous,
    ExpiredSession,
    Viewer,
    Admin,
    /// An admin of another account, in the console.
    OtherAdmin,
    IngestToken,
    ReadToken,
    AdminToken,
    ExpiredToken,
    /// A token of another account with the scope admin.
    OtherToken,
}

use Caller::*;

const ALL_CALLERS: [Caller; 10] = [
    Anonymous,
    ExpiredSession,
    Viewer,
    Admin,
    OtherAdmin,
    IngestToken,
    ReadToken,
    AdminToken,
    ExpiredToken,
    OtherToken,
];

/// The permission that a route requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Ingest,
    View,
    Change,
}

/// The kind of a route, with the expected outcomes: of permitted callers, and of other accounts.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The same outcome for every caller.
    Open(&'static str),
    /// A route of the API, for tokens.
    Api(Needs, &'static str, &'static str),
    /// A server function, for signed-in users.
    Function(Needs, &'static str, &'static str),
    /// A page; callers without a session are redirected to sign in.
    Page(&'static str, &'static str),
    /// The form that toggles a destination.
    Form,
}

struct Row {
    method: Method,
    /// The path pattern in the router.
    route: String,
    path: String,
    body: Body,
    kind: Kind,
}

enum Body {
    None,
    Json(Value),
    Form(Value),
}

impl Row {
    fn expected(&self, caller: Caller) -> &'static str {
        let signed_in = matches!(caller, Viewer | Admin | OtherAdmin);
        match self.kind {
            Kind::Open(answer) => answer,
            Kind::Api(needs, answer, other) => match caller {
                IngestToken if needs == Needs::Ingest => answer,
                ReadToken if needs == Needs::View => answer,
                AdminToken if needs != Needs::Ingest => answer,
                OtherToken if needs != Needs::Ingest => other,
                IngestToken | ReadToken | AdminToken | OtherToken => "403",
                _ => "401",
            },
            Kind::Function(needs, answer, other) => match caller {
                Viewer if needs != Needs::View => "403",
                Viewer | Admin => answer,
                OtherAdmin => other,
                _ => "401",
            },
            Kind::Page(answer, other) => match caller {
                OtherAdmin => other,
                _ if signed_in => answer,
                _ => "303 /sign-in",
            },
            Kind::Form => match caller {
                Viewer => "303 /settings/audit-trail/streaming forbidden",
                Admin => "303 /settings/audit-trail/streaming",
                OtherAdmin => "303 /settings/audit-trail/streaming not_found",
                _ => "303 /sign-in",
            },
        }
    }
}

fn api(method: &str, route: &str, body: Option<Value>, needs: Needs, answer: &'static str, other: &'static str) -> Row {
    let path = route
        .replace("streaming-destinations/{id}", "streaming-destinations/siem")
        .replace(
            "connectors/{id}",
            if method == "DELETE" {
                "connectors/spare"
            } else {
                "connectors/aws"
            },
        )
        .replace("api-tokens/{id}", "api-tokens/{TOKEN}")
        .replace("{number}", "1")
        .replace("{event}", "1")
        .replace("{email}", "eve@example.com");
    Row {
        method: method.parse().unwrap(),
        route: format!("/v1{route}"),
        path: format!("/v1{path}"),
        body: body.map_or(Body::None, Body::Json),
        kind: Kind::Api(needs, answer, other),
    }
}

fn function(name: &str, body: Value, needs: Needs, answer: &'static str, other: &'static str) -> Row {
    Row {
        method: Method::POST,
        route: format!("/api/{name}"),
        path: format!("/api/{name}"),
        body: Body::Json(body),
        kind: Kind::Function(needs, answer, other),
    }
}

fn open(method: Method, route: &str, body: Body, answer: &'static str) -> Row {
    Row {
        method,
        route: route.to_owned(),
        path: route.to_owned(),
        body,
        kind: Kind::Open(answer),
    }
}

fn page(route: &str, other: &'static str) -> Row {
    let path = route
        .replace("streaming/{id}", "streaming/siem")
        .replace("connectors/{id}", "connectors/aws");
    Row {
        path,
        kind: Kind::Page(if other == "404" { "200" } else { other }, other),
        ..open(Method::GET, route, Body::None, "")
    }
}

fn rows() -> Vec<Row> {
    let get = |route: &str, answer| open(Method::GET, route, Body::None, answer);
    let mut rows = vec![
        get("/", "303 /settings"),
        get("/healthz", "200"),
        get("/readyz", "200"),
        get("/metrics", "200"),
        get("/openapi.json", "200"),
        get("/docs/api", "200"),
        get("/docs/api.css", "200"),
        get("/sign-in", "200"),
        get("/setup", "200"),
        get("/invitation", "200"),
        open(
            Method::POST,
            "/sign-in",
            Body::Form(json!({"email": "{CALLER}@example.com", "password": "wrong wrong wrong"})),
            "303 /sign-in wrong_credentials",
        ),
        open(
            Method::POST,
            "/setup",
            Body::Form(json!({"token": "none", "email": "eve@example.com", "password": PASSWORD})),
            "303 /setup not_found",
        ),
        open(
            Method::POST,
            "/invitation",
            Body::Form(json!({"token": "none", "password": PASSWORD})),
            "303 /invitation not_found",
        ),
        open(Method::POST, "/sign-out", Body::None, "303 /sign-in"),
        open(
            Method::POST,
            "/theme",
            Body::Form(json!({"theme": "dark"})),
            "303 /settings",
        ),
        Row {
            path: "/settings/audit-trail/streaming/siem/status".to_owned(),
            kind: Kind::Form,
            ..open(
                Method::POST,
                "/settings/audit-trail/streaming/{id}/status",
                Body::Form(json!({"status": "ACTIVE"})),
                "",
            )
        },
        Row {
            kind: Kind::Function(Needs::View, "200", "200"),
            ..open(Method::POST, "/api/session", Body::Json(json!({})), "")
        },
        open(
            Method::POST,
            "/api/sign-in",
            Body::Json(json!({"email": "{CALLER}@example.com", "password": "wrong wrong wrong"})),
            "401",
        ),
        open(
            Method::POST,
            "/api/one-time-link",
            Body::Json(json!({"token": "none"})),
            "200",
        ),
    ];
    rows.extend(pages());
    rows.extend(api_rows());
    rows.extend(functions());
    rows
}

fn pages() -> impl Iterator<Item = Row> {
    [
        ("/settings", "200"),
        ("/settings/audit-trail", "302 /settings/audit-trail/logs"),
        ("/settings/audit-trail/logs", "200"),
        ("/settings/audit-trail/logs/export", "200"),
        ("/settings/audit-trail/streaming", "200"),
        ("/settings/audit-trail/streaming/new", "200"),
        ("/settings/audit-trail/streaming/{id}", "404"),
        ("/settings/audit-trail/streaming/{id}/edit", "404"),
        ("/settings/connectors", "200"),
        ("/settings/connectors/new", "200"),
        ("/settings/connectors/{id}/edit", "404"),
        ("/settings/access", "200"),
        ("/settings/access/tokens", "200"),
        ("/settings/access/sign-ins", "200"),
        ("/settings/access/you", "200"),
        ("/settings/retention", "200"),
    ]
    .into_iter()
    .map(|(route, other)| page(route, other))
}

fn api_rows() -> Vec<Row> {
    use Needs::{Change, Ingest, View};
    let sent = || Some(destination("siem", "INACTIVE"));
    let check = json!({"connector_ref": "aws", "spec": {"type": "AWS_S3", "bucket": "logs"}});
    let webhook = json!({"url": "http://127.0.0.1:9/", "secret": WEBHOOK_SECRET});
    let new_token = json!({"name": "new", "scopes": ["read"]});
    let of = "/streaming-destinations";
    let with = |rest: &str| format!("{of}/{{id}}{rest}");
    vec![
        api("GET", "/audit-events", None, View, "200", "200"),
        api("POST", "/audit-events", Some(event("x")), Ingest, "200", "403"),
        api("GET", "/audit-events/{event}", None, View, "200", "200"),
        api("GET", "/audit-event-histogram", None, View, "200", "200"),
        Row {
            path: "/v1/audit-event-values?field=action".into(),
            ..api("GET", "/audit-event-values", None, View, "200", "200")
        },
        api("GET", "/search-index", None, View, "200", "200"),
        api("POST", "/search-index/rebuild", None, Change, "200", "200"),
        api("GET", "/connectors", None, View, "200", "200"),
        api(
            "POST",
            "/connectors",
            Some(named(connector(NOWHERE), "new_aws")),
            Change,
            "201",
            "201",
        ),
        api("GET", "/connectors/{id}", None, View, "200", "404"),
        api(
            "PUT",
            "/connectors/{id}",
            Some(connector(NOWHERE)),
            Change,
            "200",
            "404",
        ),
        api("DELETE", "/connectors/{id}", None, Change, "204", "404"),
        api("POST", "/connectors/{id}/test", None, Change, "200", "404"),
        api("GET", of, None, View, "200", "200"),
        api(
            "POST",
            of,
            Some(destination("second", "INACTIVE")),
            Change,
            "201",
            "422",
        ),
        api("GET", &format!("{of}/aggregate"), None, View, "200", "200"),
        api("GET", &format!("{of}/cards"), None, View, "200", "200"),
        api("POST", &format!("{of}/check-bucket"), Some(check), Change, "200", "422"),
        api("GET", &with(""), None, View, "200", "404"),
        api("PUT", &with(""), sent(), Change, "200", "404"),
        api("DELETE", &with(""), None, Change, "204", "404"),
        api("GET", &with("/validate-unique-identifier"), None, View, "200", "200"),
        api("GET", &with("/batches"), None, View, "200", "404"),
        api("POST", &with("/stream-now"), None, Change, "409", "404"),
        api(
            "POST",
            &with("/cursor"),
            Some(json!({"sequence": 0})),
            Change,
            "409",
            "404",
        ),
        api("POST", &with("/check-bucket"), None, Change, "200", "404"),
        api("POST", &with("/batches/{number}/rename"), None, Change, "404", "404"),
        api("GET", "/webhook", None, Change, "200", "404"),
        api("PUT", "/webhook", Some(webhook), Change, "200", "200"),
        api("DELETE", "/webhook", None, Change, "204", "404"),
        api("POST", "/webhook/test", None, Change, "200", "404"),
        api("GET", "/retention", None, View, "200", "200"),
        api("PUT", "/retention", Some(json!({"days": 900})), Change, "200", "200"),
        api(
            "POST",
            "/retention/confirm",
            Some(json!({"last_sequence": 1})),
            Change,
            "409",
            "409",
        ),
        api("GET", "/clock", None, View, "200", "200"),
        api("POST", "/clock/confirm", Some(json!({"time": 0})), Change, "409", "403"),
        api("GET", "/users", None, Change, "200", "200"),
        api("POST", "/users", Some(invitation()), Change, "201", "201"),
        api(
            "PUT",
            "/users/{email}",
            Some(json!({"role": "account_admin"})),
            Change,
            "200",
            "404",
        ),
        api("DELETE", "/users/{email}", None, Change, "204", "404"),
        api("POST", "/users/{email}/password-link", None, Change, "201", "404"),
        api("POST", "/users/{email}/sign-out", None, Change, "204", "404"),
        api("GET", "/api-tokens", None, Change, "200", "200"),
        api("POST", "/api-tokens", Some(new_token), Change, "201", "201"),
        api("DELETE", "/api-tokens/{id}", None, Change, "204", "404"),
    ]
}

fn functions() -> Vec<Row> {
    use Needs::{Change, View};
    let siem = || json!({"id": "siem"});
    let eve = || json!({"email": "eve@example.com"});
    let query = || json!({"query": {}});
    let range = json!({"filter": {}, "range": "7d"});
    let newer = json!({"filter": {}, "range": "7d", "after": 0});
    let new_token = json!({"token": {"name": "new", "scopes": ["read"]}});
    let password = json!({"current": PASSWORD, "new": "another horse battery staple"});
    let replaced = json!({"destination": destination("siem", "INACTIVE")});
    vec![
        function("events", range, View, "200", "200"),
        function("events/newer", newer, View, "200", "200"),
        function("sign-ins", json!({}), View, "200", "200"),
        function("connectors", query(), View, "200", "200"),
        function("connector", json!({"id": "aws"}), View, "200", "404"),
        function("connector/external-id", json!({}), View, "200", "200"),
        function(
            "connector/create",
            json!({"connector": named(connector(NOWHERE), "new_aws")}),
            Change,
            "200",
            "200",
        ),
        function(
            "connector/replace",
            json!({"connector": connector(NOWHERE)}),
            Change,
            "200",
            "404",
        ),
        function("connector/delete", json!({"id": "spare"}), Change, "200", "404"),
        function("connector/test", json!({"id": "aws"}), Change, "200", "404"),
        function("destinations", query(), View, "200", "200"),
        function("destinations/cards", json!({}), View, "200", "200"),
        function("destination", siem(), View, "200", "404"),
        function(
            "destination/create",
            json!({"destination": destination("second", "INACTIVE")}),
            Change,
            "200",
            "422",
        ),
        function("destination/replace", replaced, Change, "200", "404"),
        function(
            "destination/status",
            json!({"id": "siem", "status": "ACTIVE"}),
            Change,
            "200",
            "404",
        ),
        function("destination/delete", siem(), Change, "200", "404"),
        function("destination/unique", siem(), View, "200", "200"),
        function(
            "destination/batches",
            json!({"id": "siem", "query": {}}),
            View,
            "200",
            "404",
        ),
        function("destination/stream-now", siem(), Change, "409", "404"),
        function("destination/check-bucket", siem(), Change, "200", "404"),
        function(
            "destination/rename-batch",
            json!({"id": "siem", "number": 1}),
            Change,
            "404",
            "404",
        ),
        function(
            "destination/cursor",
            json!({"id": "siem", "sequence": 0}),
            Change,
            "409",
            "404",
        ),
        function("retention", json!({}), View, "200", "200"),
        function(
            "retention/set",
            json!({"retention": {"days": 900}}),
            Change,
            "200",
            "200",
        ),
        function(
            "retention/confirm",
            json!({"removal": {"last_sequence": 1}}),
            Change,
            "409",
            "409",
        ),
        function("clock", json!({}), View, "200", "200"),
        function("clock/confirm", json!({"clock": {"time": 0}}), Change, "409", "403"),
        function("users", json!({}), Change, "200", "200"),
        function("user/invite", json!({"invitation": invitation()}), Change, "200", "200"),
        function(
            "user/role",
            json!({"email": "eve@example.com", "role": "account_admin"}),
            Change,
            "200",
            "404",
        ),
        function("user/remove", eve(), Change, "200", "404"),
        function(
            "user/withdraw-invitation",
            json!({"email": "ivy@example.com"}),
            Change,
            "200",
            "404",
        ),
        function("user/password-link", eve(), Change, "200", "404"),
        function("user/sign-out", eve(), Change, "200", "404"),
        function("api-tokens", json!({}), Change, "200", "200"),
        function("api-token/create", new_token, Change, "200", "200"),
        function("api-token/revoke", json!({"id": "{TOKEN}"}), Change, "200", "404"),
        function("account/password", password, View, "200", "200"),
        function("account/sign-out-everywhere", json!({}), View, "200", "200"),
    ]
}

const NOWHERE: &str = "http://127.0.0.1:9";
const WEBHOOK_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn named(mut resource: Value, identifier: &str) -> Value {
    resource["identifier"] = identifier.into();
    resource
}

fn invitation() -> Value {
    json!({"email": "new@example.com", "role": "account_viewer"})
}

/// A server with one of each resource, and the credentials of every caller.
struct World {
    app: App,
    _store: Store,
    /// The header that each caller sends.
    keys: Vec<(Caller, Option<(&'static str, String)>)>,
    /// The id of a token to revoke.
    revocable: String,
}

impl World {
    async fn build() -> Self {
        let app = App::start().await;
        let store = app.with_store().await;
        for (path, body) in [
            ("/v1/connectors", named(connector(NOWHERE), "spare")),
            ("/v1/streaming-destinations", destination("siem", "INACTIVE")),
            (
                "/v1/users",
                json!({"email": "ivy@example.com", "role": "account_viewer"}),
            ),
        ] {
            let made = app.post(path).bearer_auth(&app.admin).json(&body).send().await.unwrap();
            assert_eq!(made.status(), 201, "{path}");
        }
        let webhook = json!({"url": "http://127.0.0.1:9/", "secret": WEBHOOK_SECRET});
        let set = app
            .put("/v1/webhook")
            .bearer_auth(&app.admin)
            .json(&webhook)
            .send()
            .await
            .unwrap();
        assert_eq!(set.status(), 200);

        let engine = &app.engine;
        let ours = Actor::command_line(engine, &AccountName::default_account())
            .await
            .unwrap();
        let other = AccountName::parse("other").unwrap();
        access::create_account(engine, &other).await.unwrap();
        let theirs = Actor::command_line(engine, &other).await.unwrap();
        for (actor, email, role) in [
            (&ours, "vic@example.com", Role::Viewer),
            (&ours, "eve@example.com", Role::Viewer),
            (&theirs, "oda@example.com", Role::Admin),
        ] {
            access::create_user(engine, actor, email, role, PASSWORD).await.unwrap();
        }
        let session = async |email: &str| {
            let cookie = access::sign_in(engine, email, PASSWORD, None, "127.0.0.1")
                .await
                .unwrap();
            Some(("cookie", format!("auditstream_session={cookie}")))
        };
        let bearer = |token: &str| Some(("authorization", format!("Bearer {token}")));
        let expired_session = session(crate::app::EMAIL).await;
        let expired_token = token(engine, &ours, "old", &Scope::ALL).await;
        let mut database = AnyConnection::connect(&format!("sqlite://{}/auditstream.db", app.folder.path().display()))
            .await
            .unwrap();
        for expire in [
            "UPDATE session SET expires = 1",
            "UPDATE api_token SET expires = 1 WHERE name = 'old'",
        ] {
            database.execute(expire).await.unwrap();
        }
        database.close().await.unwrap();
        let other_token = token(engine, &theirs, "theirs", &[Scope::Admin]).await;
        let revocable = ApiTokenInput {
            name: "revocable".to_owned(),
            scopes: vec![Scope::Read],
            expires_in_days: None,
        };
        let revocable = access::create_token(engine, &ours, &revocable).await.unwrap();
        let keys = vec![
            (Anonymous, None),
            (ExpiredSession, expired_session),
            (Viewer, session("vic@example.com").await),
            (Admin, session(crate::app::EMAIL).await),
            (OtherAdmin, session("oda@example.com").await),
            (IngestToken, bearer(&app.ingest)),
            (ReadToken, bearer(&app.read)),
            (AdminToken, bearer(&app.admin)),
            (ExpiredToken, bearer(&expired_token)),
            (OtherToken, bearer(&other_token)),
        ];
        Self {
            app,
            _store: store,
            keys,
            revocable: revocable.api_token.id,
        }
    }

    fn fill(&self, text: &str, caller: Caller) -> String {
        text.replace("{TOKEN}", &self.revocable)
            .replace("{CALLER}", &format!("{caller:?}"))
    }

    async fn ask(&self, row: &Row, caller: Caller) -> String {
        let path = self.fill(&row.path, caller);
        let request = match row.method {
            // As browsers request pages.
            Method::GET => self.app.get(&path).header("accept", "text/html, */*"),
            Method::PUT => self.app.put(&path),
            Method::DELETE => self.app.delete(&path),
            _ => self.app.post(&path),
        };
        let filled = |value: &Value| serde_json::from_str::<Value>(&self.fill(&value.to_string(), caller)).unwrap();
        let request = match &row.body {
            Body::None => request,
            Body::Json(body) => request.json(&filled(body)),
            Body::Form(body) => request.form(&filled(body)),
        };
        let key = self
            .keys
            .iter()
            .find(|(owner, _)| *owner == caller)
            .and_then(|(_, key)| key.clone());
        let request: RequestBuilder = match key {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        outcome(request.send().await.unwrap())
    }
}

/// The status; for a redirect also its target and the error code in the flash.
fn outcome(answer: Response) -> String {
    let status = answer.status().as_u16();
    if !answer.status().is_redirection() {
        return status.to_string();
    }
    let to = answer.headers()["location"].to_str().unwrap();
    let to = to.split('?').next().unwrap();
    let code = crate::app::flash(&answer).unwrap_or_default();
    format!("{status} {to} {code}").trim_end().to_owned()
}

#[expect(clippy::print_stdout, reason = "the size of the matrix is reported")]
#[tokio::test(flavor = "multi_thread")]
async fn each_caller_gets_what_it_may_access_and_nothing_else() {
    let rows = rows();
    let (total, unexpected) = (
        rows.len() * ALL_CALLERS.len(),
        stream::iter(&rows).map(check).buffer_unordered(4),
    );
    let unexpected: Vec<String> = unexpected.flat_map(stream::iter).collect().await;
    assert!(
        unexpected.is_empty(),
        "{} of {total} outcomes differ from the expected ones:\n{}",
        unexpected.len(),
        unexpected.join("\n")
    );
    println!(
        "{} routes and server functions × {} callers: {total} outcomes",
        rows.len(),
        ALL_CALLERS.len()
    );
}

async fn check(row: &Row) -> Vec<String> {
    let world = World::build().await;
    let mut unexpected = Vec::new();
    // Permitted callers come last, because their changes affect the outcome.
    let (permitted, others): (Vec<Caller>, Vec<Caller>) = ALL_CALLERS
        .into_iter()
        .partition(|caller| matches!(caller, Admin | AdminToken));
    for caller in others.into_iter().chain(permitted) {
        let got = world.ask(row, caller).await;
        let expected = row.expected(caller);
        if got != expected {
            unexpected.push(format!(
                "{} {} by {caller:?}: {got}, expected {expected}",
                row.method, row.route
            ));
        }
    }
    unexpected
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_parsed_only_for_callers_with_the_permission() {
    let world = World::build().await;
    for row in rows() {
        let callers = match row.kind {
            Kind::Api(needs, ..) if needs != Needs::View && matches!(row.body, Body::Json(_)) => {
                let others = [OtherToken, AdminToken].into_iter().filter(|_| needs == Needs::Ingest);
                others.chain([ReadToken, Anonymous, ExpiredToken]).collect()
            }
            Kind::Function(Needs::Change, ..) => vec![Viewer, Anonymous, ExpiredSession],
            Kind::Function(..) => vec![Anonymous, ExpiredSession],
            _ => Vec::new(),
        };
        let row = Row {
            body: Body::Json(json!("not what any of them expects")),
            ..row
        };
        for caller in callers {
            let expected = match caller {
                Anonymous | ExpiredSession | ExpiredToken => "401",
                _ => "403",
            };
            let got = world.ask(&row, caller).await;
            assert_eq!(got, expected, "{} {} by {caller:?}", row.method, row.route);
        }
    }
}

#[tokio::test]
async fn every_route_and_server_function_has_a_row() {
    let app = App::start().await;
    let router = auditstream_server::router(auditstream_server::cli::serve::state(app.engine.clone(), &app.address));
    let mut existing = routes::of(&router);
    // This route represents all server functions.
    assert!(existing.remove(&("POST".to_owned(), "/api/{*function}".to_owned())));
    let functions = leptos::server_fn::axum::server_fn_paths();
    existing.extend(functions.map(|(path, method)| (method.to_string(), path.to_owned())));
    let rows = rows().into_iter().map(|row| (row.method.to_string(), row.route));
    assert_eq!(rows.collect::<BTreeSet<_>>(), existing);
}
