//! Requests from other sites, proxies and attackers: the protection of browsers, and rule 14.
//!
//! Slow clients and bodies in flight are in [`pressure`](crate::pressure).

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use auditstream_server::cli::serve;
use auditstream_server::http::client_address::Proxies;
use auditstream_server::http::origins::Origins;
use auditstream_server::state::AppState;
use leptos::server_fn::axum::server_fn_paths;
use reqwest::{Client, Method, Response, redirect};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::app::{App, EMAIL, PASSWORD, connector, cookie, destination, event, refused};
use crate::process::{Server, auditstream};

const FORMS: [&str; 6] = [
    "/sign-in",
    "/setup",
    "/sign-out",
    "/theme",
    "/settings/audit-trail/streaming/siem/status",
    "/nothing-here",
];

fn browser() -> Client {
    Client::builder().redirect(redirect::Policy::none()).build().unwrap()
}

/// Another server on the same engine, with a changed state.
async fn server(app: &App, change: impl FnOnce(&mut AppState)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut state = serve::state(app.engine.clone(), &address);
    change(&mut state);
    tokio::spawn(serve::serve(listener, state, std::future::pending()));
    address
}

/// The state of a server behind a proxy that terminates TLS.
fn behind_tls(state: &mut AppState) {
    state.public_url = "https://audit.example.com".into();
    state.origins = Origins::of_public_url("https://audit.example.com");
}

fn is_cross_site(answer: &Response) -> bool {
    answer.status() == 403
}

/// Sends these bytes and reads until the server closes the connection.
async fn raw(address: &str, request: impl AsRef<[u8]>) -> String {
    let mut socket = TcpStream::connect(address.trim_start_matches("http://")).await.unwrap();
    socket.write_all(request.as_ref()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer));
    let _ = read.await.expect("it is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_changes_nothing_by_form_or_server_function() {
    let app = App::start().await;
    app.with_store().await;
    let made = app
        .post("/v1/streaming-destinations")
        .bearer_auth(&app.admin)
        .json(&destination("siem", "INACTIVE"));
    assert_eq!(made.send().await.unwrap().status(), 201);
    let cookie = app.signed_in().await;
    let functions: Vec<_> = server_fn_paths().map(|(path, _)| path).collect();
    assert!(functions.len() > 20, "the console's are linked in: {functions:?}");
    let here = app.address.as_str();
    let rebound = "http://evil.example.com";
    let cases: [(&[(&str, &str)], bool); 13] = [
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "same-site"), ("origin", here)], false),
        (&[("sec-fetch-site", "same-origin"), ("origin", rebound)], false),
        (&[("origin", "https://evil.example.com")], false),
        (&[("origin", "null")], false),
        (&[("origin", here), ("origin", rebound)], false),
        // The host header proves nothing.
        (&[("origin", rebound), ("host", "evil.example.com")], false),
        (&[("origin", "https://127.0.0.1")], false),
        // A browser too old to send either header.
        (&[], false),
        (&[("origin", here)], true),
        (&[("sec-fetch-site", "same-origin"), ("origin", here)], true),
        (&[("sec-fetch-site", "none")], true),
    ];
    let client = browser();
    for (headers, expected) in cases {
        for path in FORMS.into_iter().chain(functions.iter().copied()) {
            // Permitted requests are only sent where they change nothing.
            if expected && !matches!(path, "/theme" | "/nothing-here" | "/api/session") {
                continue;
            }
            let mut request = client.post(format!("{here}{path}")).header("cookie", &cookie);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = request.form(&[("status", "ACTIVE")]).send().await.unwrap();
            if expected {
                assert!(!is_cross_site(&answer), "{path} {headers:?}");
            } else {
                refused(answer, 403, "cross_site").await;
            }
        }
    }
    let still = app.get("/settings").header("cookie", &cookie).send().await.unwrap();
    assert_eq!(still.status(), 200, "the session is still valid");
    let siem = app.get("/v1/streaming-destinations/siem").bearer_auth(&app.read);
    let siem: Value = siem.send().await.unwrap().json().await.unwrap();
    assert_eq!(siem["streaming_destination"]["status"], "INACTIVE");
}

#[tokio::test]
async fn programs_without_cookies_need_no_origin() {
    let app = App::start().await;
    let client = browser();
    let form = [("email", EMAIL), ("password", PASSWORD)];
    let sign_in = client.post(format!("{}/sign-in", app.address)).form(&form);
    assert_eq!(sign_in.send().await.unwrap().status(), 303);
    let made = client
        .post(format!("{}/v1/connectors", app.address))
        .bearer_auth(&app.admin)
        .header("origin", "https://evil.example.com")
        .json(&connector("http://127.0.0.1:9"));
    assert_eq!(
        made.send().await.unwrap().status(),
        201,
        "browsers do not send tokens by themselves"
    );
}

#[tokio::test]
async fn server_functions_accept_post_only() {
    let app = App::start().await;
    let cookie = app.signed_in().await;
    for (path, method) in server_fn_paths() {
        assert_eq!(method, Method::POST, "{path}");
        for method in [
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ] {
            let request = browser()
                .request(method.clone(), format!("{}{path}?id=x&status=ACTIVE", app.address))
                .header("origin", &app.address)
                .header("cookie", &cookie);
            assert_eq!(request.send().await.unwrap().status(), 405, "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebound_host_name_reaches_no_page() {
    let folder = TempDir::new().unwrap();
    let server = Server::start_with(&mut auditstream(folder.path(), &["serve"]));
    let port = server.address.rsplit(':').next().unwrap();
    let client = browser();
    let ask = async |path: &str, host: &str| {
        let request = client.get(format!("{}{path}", server.address)).header("host", host);
        request.send().await.unwrap()
    };
    for path in ["/sign-in", "/metrics", "/settings", "/pkg/auditstream.css"] {
        refused(ask(path, &format!("evil.example.com:{port}")).await, 403, "cross_site").await;
    }
    for host in [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
    ] {
        assert_eq!(ask("/sign-in", &host).await.status(), 200, "{host}");
        let theme = client
            .post(format!("{}/theme", server.address))
            .header("origin", format!("http://{host}"))
            .header("cookie", "theme=dark")
            .form(&[("theme", "light")]);
        assert_eq!(theme.send().await.unwrap().status(), 303, "{host}");
    }
    assert_eq!(ask("/healthz", "10.0.0.9").await.status(), 200, "of a load balancer");
    assert_eq!(
        ask("/v1/connectors", "audit").await.status(),
        401,
        "a token is needed, under any name"
    );
}

#[tokio::test]
async fn over_tls_a_session_is_bound_to_this_host_and_the_plain_cookie_is_ignored() {
    let app = App::start().await;
    let form = [("email", EMAIL), ("password", PASSWORD)];
    let plain = app.post("/sign-in").form(&form).send().await.unwrap();
    let plain = cookie(&plain, "auditstream_session").unwrap();
    let attributes: Vec<_> = plain.split("; ").skip(1).collect();
    assert_eq!(attributes, ["Path=/", "HttpOnly", "SameSite=Lax"]);

    let address = server(&app, behind_tls).await;
    let client = browser();
    let post = |path: &str| {
        let request = client.post(format!("{address}{path}"));
        request.header("origin", "https://audit.example.com")
    };
    let signed_in = post("/sign-in").form(&form).send().await.unwrap();
    assert!(cookie(&signed_in, "auditstream_session").is_none());
    let secure = cookie(&signed_in, "__Host-auditstream_session").unwrap();
    let attributes: Vec<_> = secure.split("; ").skip(1).collect();
    assert_eq!(attributes, ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"]);
    let over_page = serde_json::json!({"email": EMAIL, "password": PASSWORD});
    let over_page = post("/api/sign-in").json(&over_page).send().await.unwrap();
    assert!(
        cookie(&over_page, "__Host-auditstream_session")
            .unwrap()
            .ends_with("; Secure")
    );

    let token = secure.split([';', '=']).nth(1).unwrap();
    let settings = async |sent: String| {
        let request = client.get(format!("{address}/settings")).header("cookie", sent);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(settings(format!("__Host-auditstream_session={token}")).await, 200);
    assert_eq!(settings(format!("auditstream_session={token}")).await, 303);

    let wrong = post("/sign-in").form(&[("email", EMAIL), ("password", "wrong wrong wrong")]);
    let wrong = wrong.send().await.unwrap();
    assert!(
        cookie(&wrong, "__Host-auditstream_flash")
            .unwrap()
            .ends_with("; Secure")
    );
    let out = post("/sign-out").header("cookie", format!("__Host-auditstream_session={token}"));
    let out = cookie(&out.send().await.unwrap(), "__Host-auditstream_session").unwrap();
    assert!(out.contains("Max-Age=0") && out.contains("Secure"), "{out}");
    assert_eq!(settings(format!("__Host-auditstream_session={token}")).await, 303);
}

/// The nonce in a policy.
fn nonce_of(policy: &str) -> &str {
    policy
        .split("'nonce-")
        .nth(1)
        .and_then(|rest| rest.split('\'').next())
        .unwrap()
}

#[tokio::test]
async fn a_page_runs_only_scripts_with_its_fresh_nonce() {
    let app = App::start().await;
    let session = app.signed_in().await;
    let mut nonces = HashSet::new();
    for path in [
        "/sign-in",
        "/sign-in",
        "/settings",
        "/settings/audit-trail/logs",
        "/nothing-here",
    ] {
        let page = app.get(path).header("cookie", &session).send().await.unwrap();
        let policies: Vec<_> = page.headers().get_all("content-security-policy").iter().collect();
        assert_eq!(policies.len(), 1, "{path}");
        let policy = policies[0].to_str().unwrap().to_owned();
        let html = page.text().await.unwrap();
        let nonce = nonce_of(&policy);
        assert!(nonce.len() >= 22, "128 bits: {nonce}");
        let scripts: Vec<_> = html.match_indices("<script").map(|(at, _)| &html[at..]).collect();
        assert!(!scripts.is_empty(), "{path}");
        for script in scripts {
            let tag = script.split('>').next().unwrap();
            assert!(tag.contains(&format!("nonce=\"{nonce}\"")), "{path}: {tag}");
        }
        for inline in [" style=\"", "<style", " onclick=", " onload=", "javascript:"] {
            assert!(!html.contains(inline), "{path} has {inline}");
        }
        assert!(
            !policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"),
            "{policy}"
        );
        for part in [
            "default-src 'self'",
            "'wasm-unsafe-eval'",
            "style-src 'self';",
            "img-src 'self' data:",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "object-src 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{part}: {policy}");
        }
        assert!(nonces.insert(nonce.to_owned()), "{path}: {nonce} came before");
    }
}

#[tokio::test]
async fn only_pages_load_anything_and_every_response_has_security_headers() {
    let app = App::start().await;
    for path in [
        "/v1/connectors",
        "/healthz",
        "/metrics",
        "/openapi.json",
        "/settings",
        "/",
        "/sign-in",
    ] {
        let answer = app.get(path).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        if path != "/sign-in" {
            let policy = "default-src 'none'; frame-ancestors 'none'";
            assert_eq!(header("content-security-policy"), policy, "{path}");
        }
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert!(header("permissions-policy").contains("camera=()"));
        assert!(
            !answer.headers().contains_key("strict-transport-security"),
            "only on TLS"
        );
    }
    let address = server(&app, behind_tls).await;
    for (host, lasting) in [("audit.example.com", true), ("localhost:3000", false)] {
        let request = browser().get(format!("{address}/sign-in")).header("host", host);
        let answer = request.send().await.unwrap();
        let sent = answer.headers().get("strict-transport-security");
        assert_eq!(
            sent.map(|value| value.to_str().unwrap()),
            lasting.then_some("max-age=31536000"),
            "{host}"
        );
    }
}

/// The client address in the newest event with an action.
async fn recorded_address(app: &App, action: &str) -> String {
    let path = format!("/v1/audit-events?limit=1&action={action}");
    let found: Value = app
        .get(&path)
        .bearer_auth(&app.read)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let event = &found["events"][0];
    event["auditHttpRequestInfo"]["clientIP"]
        .as_str()
        .unwrap_or_else(|| panic!("{found}"))
        .to_owned()
}

#[tokio::test]
async fn a_forwarded_address_is_trusted_only_from_a_configured_proxy() {
    let app = App::start().await;
    let proxied = server(&app, |state| {
        state.proxies = Proxies::parse("127.0.0.0/8, 10.0.0.0/8").unwrap()
    })
    .await;
    for (address, expected) in [(&app.address, "127.0.0.1"), (&proxied, "203.0.113.9")] {
        let client = browser();
        let ask = |method: Method, path: &str| {
            let request = client.request(method, format!("{address}{path}"));
            request.header("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.1.1.1")
        };
        // The console's forms and server functions, and the API.
        let sent = ask(Method::POST, "/sign-in").form(&[("email", EMAIL), ("password", PASSWORD)]);
        assert_eq!(sent.send().await.unwrap().status(), 303);
        assert_eq!(recorded_address(&app, "LOGIN").await, expected);
        let sent = serde_json::json!({"email": EMAIL, "password": "wrong wrong wrong"});
        assert_eq!(
            ask(Method::POST, "/api/sign-in")
                .json(&sent)
                .send()
                .await
                .unwrap()
                .status(),
            401
        );
        assert_eq!(recorded_address(&app, "UNSUCCESSFUL_LOGIN").await, expected);
        let made = ask(Method::POST, "/v1/connectors").bearer_auth(&app.admin);
        let made = made.json(&connector("http://127.0.0.1:9")).send().await.unwrap();
        assert_eq!(made.status(), 201);
        assert_eq!(recorded_address(&app, "CREATE").await, expected);
        let gone = ask(Method::DELETE, "/v1/connectors/aws").bearer_auth(&app.admin);
        assert_eq!(gone.send().await.unwrap().status(), 204);
        // Without a token, metrics are not available through a proxy.
        refused(ask(Method::GET, "/metrics").send().await.unwrap(), 403, "forbidden").await;
    }
    let direct = browser().get(format!("{}/metrics", app.address)).send().await.unwrap();
    assert_eq!(direct.status(), 200);
    let proxy = browser().get(format!("{proxied}/metrics")).send().await.unwrap();
    refused(proxy, 403, "forbidden").await;
}

#[test]
fn invalid_proxies_are_refused_at_the_start() {
    let folder = TempDir::new().unwrap();
    let output = auditstream(folder.path(), &["serve"])
        .env("AUDITSTREAM_TRUSTED_PROXIES", "10.0.0.1, proxy.example.com")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && shown.contains("proxy.example.com"),
        "{shown}"
    );
}

#[tokio::test]
async fn sign_in_ignores_every_form_of_a_foreign_address() {
    let app = App::start().await;
    for next in [
        "//evil.example.com",
        "///evil.example.com",
        "/\\evil.example.com",
        "\\\\evil.example.com",
        "/\t/evil.example.com",
        "/\n/evil.example.com",
        "\t//evil.example.com",
        " //evil.example.com",
        "https://evil.example.com",
        "https:evil.example.com",
        "javascript:alert(1)",
        "data:text/html,x",
        "evil.example.com",
        "@evil.example.com",
        ".evil.example.com",
        "/a\r\nLocation: https://evil.example.com",
        "/\u{2028}/evil.example.com",
    ] {
        let form = [("email", EMAIL), ("password", PASSWORD), ("next", next)];
        let answer = app.post("/sign-in").form(&form).send().await.unwrap();
        assert_eq!(answer.headers()["location"], "/settings", "{next:?}");
        let form = [("email", EMAIL), ("password", "wrong wrong wrong"), ("next", next)];
        let answer = app.post("/sign-in").form(&form).send().await.unwrap();
        assert_eq!(answer.headers()["location"], "/sign-in", "{next:?}");
    }
    // Nor does the page inject it into its form.
    let page = app
        .get("/sign-in?next=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
        .send()
        .await
        .unwrap();
    assert!(!page.text().await.unwrap().contains("<script>alert"));
}

#[tokio::test]
async fn line_breaks_in_a_request_cannot_inject_headers() {
    let app = App::start().await;
    let session = app.signed_in().await;
    let evil = "x\r\nset-cookie: planted=1\r\n\r\n<script>";
    let encoded = "x%0d%0aset-cookie:%20planted=1%0d%0a%0d%0a%3Cscript%3E";
    let answers = [
        app.post("/theme").form(&[("theme", evil)]),
        app.post("/sign-in")
            .form(&[("email", EMAIL), ("password", PASSWORD), ("next", evil)]),
        app.post("/setup")
            .form(&[("token", evil), ("email", EMAIL), ("password", PASSWORD)]),
        app.get(&format!("/settings?{encoded}")),
        app.get(&format!("/settings/audit-trail/streaming/{encoded}"))
            .header("cookie", &session),
        app.get(&format!("/{encoded}")),
        app.get("/sign-in")
            .header("cookie", format!("auditstream_flash={encoded}")),
        app.post(&format!("/settings/audit-trail/streaming/{encoded}/status"))
            .header("cookie", &session)
            .header("referer", format!("{}/{encoded}", app.address))
            .form(&[("status", "ACTIVE")]),
        app.get(&format!("/v1/streaming-destinations/{encoded}"))
            .bearer_auth(&app.read),
    ];
    for request in answers {
        let answer = request.send().await.unwrap();
        let url = answer.url().to_string();
        assert!(cookie(&answer, "planted").is_none(), "{url}");
        for (name, value) in answer.headers() {
            let safe = value.as_bytes().iter().all(|byte| !byte.is_ascii_control());
            assert!(safe, "{url}: {name}: {value:?}");
        }
        assert!(
            answer
                .headers()
                .get_all("set-cookie")
                .iter()
                .all(|set| !set.as_bytes().starts_with(b"x"))
        );
        let html = answer.text().await.unwrap();
        assert!(!html.contains("planted=1\r\n\r\n<script>"), "{url}");
    }
    let theme = app.post("/theme").form(&[("theme", evil)]).send().await.unwrap();
    assert!(cookie(&theme, "theme").unwrap().starts_with("theme=system;"));
}

#[tokio::test]
async fn no_path_leads_out_of_the_site() {
    let app = App::start().await;
    for path in [
        "/../Cargo.toml",
        "/pkg/../../../server/Cargo.toml",
        "/pkg/..%2f..%2f..%2fserver/Cargo.toml",
        "/pkg/%2e%2e/%2e%2e/%2e%2e/server/Cargo.toml",
        "/pkg/..\\..\\..\\server\\Cargo.toml",
        "/pkg/....//....//server/Cargo.toml",
        "//etc/passwd",
        "/pkg//etc/passwd",
        "/pkg/%00/etc/passwd",
        "/%2fetc%2fpasswd",
        "http://127.0.0.1/../../etc/passwd",
    ] {
        let answer = raw(
            &app.address,
            format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
        )
        .await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(matches!(status, "404" | "400" | "403"), "{path}: {answer}");
        assert!(!answer.contains("[package]") && !answer.contains("root:"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_gzip_bombs_at_once_are_refused_and_the_server_keeps_working() {
    let app = App::start().await;
    // A few hundred kilobytes that decompress to 256 MiB.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..256 {
        std::io::Write::write_all(&mut bomb, &vec![b' '; 1 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    let began = Instant::now();
    let sent = (0..24).map(|_| {
        let request = app
            .send_events("application/x-ndjson")
            .header("content-encoding", "gzip");
        request.body(bomb.clone()).send()
    });
    for answer in futures::future::join_all(sent).await {
        let answer = answer.unwrap();
        match answer.status().as_u16() {
            413 => drop(refused(answer, 413, "too_large").await),
            _ => drop(refused(answer, 503, "unavailable").await),
        }
    }
    // Each is abandoned at its limit: decompressing all 6 GiB would take far longer.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let good = app.send_events("application/json").body(event("after").to_string());
    assert_eq!(good.send().await.unwrap().status(), 200);
    for path in ["/api/session", "/sign-in", "/v1/connectors"] {
        let request = app.post(path).bearer_auth(&app.admin);
        let request = request
            .header("content-encoding", "gzip")
            .header("content-type", "application/json");
        let status = request.body(bomb.clone()).send().await.unwrap().status();
        assert!(
            !status.is_success() && !status.is_redirection(),
            "only events are decompressed: {path} {status}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_requests_with_events_may_be_large() {
    let app = App::start().await;
    let session = app.signed_in().await;
    let large = format!("{{\"email\":\"{}\",\"password\":\"x\"}}", "a".repeat(4 << 20));
    for path in [
        "/api/sign-in",
        "/api/connector/create",
        "/sign-in",
        "/setup",
        "/v1/connectors",
    ] {
        let request = app.post(path).header("cookie", &session).bearer_auth(&app.admin);
        let kind = if path.starts_with("/api") || path.starts_with("/v1") {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        let Ok(answer) = request.header("content-type", kind).body(large.clone()).send().await else {
            continue; // The server closed the connection early.
        };
        assert!(
            answer.status().is_client_error() || answer.status().is_server_error(),
            "{path}"
        );
    }
    // On a new connection, because those of the refused requests are being closed.
    let answer = reqwest::get(format!("{}/healthz", app.address)).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn an_ambiguous_length_cannot_smuggle_a_second_request() {
    let app = App::start().await;
    let smuggled = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
    let begin = "POST /sign-in HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    let length = smuggled.len() + 5;
    for (headers, refused) in [
        (
            format!("content-length: 5\r\ncontent-length: {length}\r\n\r\n0\r\n\r\n{smuggled}"),
            true,
        ),
        (format!("content-length: 5, {length}\r\n\r\n0\r\n\r\n{smuggled}"), true),
        (format!("content-length: +5\r\n\r\n0\r\n\r\n{smuggled}"), true),
        (
            format!("transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"),
            true,
        ),
        (
            format!("transfer-encoding: xchunked\r\ncontent-length: {length}\r\n\r\n0\r\n\r\n{smuggled}"),
            true,
        ),
        (format!("transfer-encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"), true),
        // Only the chunks count, and the connection is closed, because a proxy may have used the
        // length.
        (
            format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
            false,
        ),
        (
            format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n0\r\n\r\n{smuggled}"),
            false,
        ),
    ] {
        let answer = raw(&app.address, format!("{begin}{headers}")).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{headers:?}: {answer}");
        assert_eq!(answer.starts_with("HTTP/1.1 400"), refused, "{headers:?}: {answer}");
    }
    let address: SocketAddr = app.address.trim_start_matches("http://").parse().unwrap();
    assert!(TcpStream::connect(address).await.is_ok());
}

/// The length of a compressed response depends on how much of a secret an attacker has guessed
/// (BREACH).
#[tokio::test]
async fn a_response_with_a_secret_is_not_compressed() {
    let app = App::start().await;
    let cookie = app.signed_in().await;
    let new_token = |name: &str| serde_json::json!({"name": name, "scopes": ["read"]});
    let invitation = serde_json::json!({"email": "eve@example.com", "role": "account_viewer"});
    let link = format!("/v1/users/{EMAIL}/password-link");
    for request in [
        app.post("/v1/api-tokens").bearer_auth(&app.admin).json(&new_token("a")),
        app.post("/v1/users").bearer_auth(&app.admin).json(&invitation),
        app.post(&link).bearer_auth(&app.admin),
        app.post("/api/api-token/create")
            .json(&serde_json::json!({"token": new_token("b")})),
        app.post("/sign-in").form(&[("email", EMAIL), ("password", PASSWORD)]),
        app.get("/settings/access/tokens"),
    ] {
        let request = request.header("cookie", &cookie);
        let answer = request
            .header("accept-encoding", "gzip, br, zstd, deflate")
            .send()
            .await
            .unwrap();
        assert!(
            answer.status().is_success() || answer.status().is_redirection(),
            "{answer:?}"
        );
        assert!(!answer.headers().contains_key("content-encoding"), "{answer:?}");
    }
}
