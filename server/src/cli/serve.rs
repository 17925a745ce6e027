//! `auditstream serve`: starts the server, announces that it is ready, and stops it gracefully.

use std::fs::{File, TryLockError};
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use auditstream_app::paths;
use auditstream_engine::database::DatabaseUrl;
use auditstream_engine::{Actor, Engine, access, continuity};
use auditstream_model::{AccountName, Code, Role};
use leptos::prelude::LeptosOptions;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::configuration::{Serve, Settings};
use crate::console::pages;
use crate::demo::Demo;
use crate::fatal::Fatal;
use crate::http::body_limit::BodyReader;
use crate::http::client_address::Proxies;
use crate::http::connections::{self, Listener};
use crate::http::origins::Origins;
use crate::http::tls::Tls;
use crate::site;
use crate::state::AppState;

/// How long the start waits for buckets that may prove the database to be older.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves until SIGTERM or SIGINT.
pub async fn run(settings: Settings, options: Serve) -> Result<(), Fatal> {
    if options.demo && !options.listen.ip().is_loopback() {
        return Err(Fatal::new(format!(
            "the demo listens on loopback addresses only, not on {}: use 127.0.0.1:PORT",
            options.listen
        )));
    }
    let settings = if options.demo { settings.for_demo() } else { settings };
    let stop = signals()?;
    let tls = Tls::open(options.tls_cert.as_deref(), options.tls_key.as_deref())?;
    let config = settings.engine()?;
    let _lock = match &config.database {
        DatabaseUrl::Sqlite(file) => Some(lock(&file.with_extension("lock"))?),
        DatabaseUrl::Postgres(_) => None,
    };
    let listener = listen(options.listen).await?;
    let address = listener
        .local_addr()
        .map_err(|error| Fatal::new(format!("cannot determine the address listened on: {error}")))?;
    let own_url = format!("{}://{address}", if tls.is_some() { "https" } else { "http" });
    let (public_url, origins) = match &options.public_url {
        Some(url) => (url.clone(), Origins::of_public_url(url)),
        None => (own_url.clone(), Origins::of_listener(&own_url, address)),
    };
    let engine = Engine::open(config).await?;
    let demo = if options.demo {
        Some(Demo::start(&engine, &settings.data_dir).await?)
    } else {
        None
    };
    continuity::look_at_buckets(&engine, LOOK_TIMEOUT).await?;
    if let Some(reason) = continuity::closed(&engine) {
        announce(&format!("no events are accepted: {reason}"));
    }
    let background = engine.start();
    match &demo {
        Some(demo) => announce(&demo.welcome(&public_url)),
        None => create_first_admin(&engine, &options, &public_url).await?,
    }
    warn_about_untrusted_proxy(&options, &public_url, address, tls.is_some());
    if !site::is_embedded() {
        tracing::warn!("the console's scripts and styles are not part of this binary: build it with `make build`");
    }
    announce(&format!("listening on {own_url}"));
    let metrics_token = options.metrics_token.filter(|token| !token.is_empty());
    let state = AppState {
        metrics_token: metrics_token.map(Into::into),
        origins,
        proxies: options
            .trusted_proxies
            .unwrap_or_default()
            .writing(options.forwarded_header),
        ..state(engine.clone(), &public_url)
    };
    serve(Listener::new(listener, tls), state, stop).await;
    background.stop().await;
    // After the background tasks, whose last PUT needs the demo's store.
    if let Some(demo) = demo {
        demo.stop();
    }
    engine.close().await;
    Ok(())
}

fn warn_about_untrusted_proxy(options: &Serve, public_url: &str, address: SocketAddr, has_tls: bool) {
    let behind_tls_proxy = !has_tls && public_url.starts_with("https://");
    let behind_proxy = options.public_url.is_some() && address.ip().is_loopback() || behind_tls_proxy;
    if behind_proxy && options.trusted_proxies.is_none() {
        tracing::warn!(
            "requests appear to come through a proxy but AUDITSTREAM_TRUSTED_PROXIES is not set: every client will share \
             the proxy's address, in the trail and in rate limiting"
        );
    }
}

/// Serves until `stop` completes, and then until the requests in flight have finished.
pub async fn serve(listener: impl Into<Listener>, state: AppState, stop: impl Future<Output = ()> + Send + 'static) {
    let listener = listener.into();
    let renewal = listener.renewal();
    let limits = connections::Limits {
        proxies: state.proxies.clone(),
        ..connections::Limits::default()
    };
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let stop = async move {
        stop.await;
        tracing::info!("stopping");
        let _ = stopping.send(());
    };
    let shutdown_timeout = async move {
        // Fails if the server has ended by itself.
        if stopped.await.is_ok() {
            tokio::time::sleep(SHUTDOWN_TIMEOUT).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = connections::serve(listener, crate::router(state), limits, stop) => {}
        () = renewal => {}
        () = shutdown_timeout => tracing::warn!("some requests did not finish in time"),
    }
}

/// The state of a server with this public URL. Call it within the async runtime.
#[must_use]
pub fn state(engine: Engine, public_url: &str) -> AppState {
    let leptos = LeptosOptions::builder()
        .output_name("auditstream")
        .site_root("target/site")
        .site_pkg_dir("pkg")
        .env(if cfg!(debug_assertions) {
            leptos::config::Env::DEV
        } else {
            leptos::config::Env::PROD
        })
        .build();
    AppState {
        engine,
        public_url: public_url.into(),
        origins: Origins::of_public_url(public_url),
        proxies: Proxies::default(),
        metrics_token: None,
        body_reader: BodyReader::default(),
        leptos,
        pages: pages::list(),
    }
}

/// Prints a line for people and programs that wait for it. Standard output may be closed.
fn announce(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Fatal> {
    TcpListener::bind(address).await.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AddrInUse {
            Fatal::new(format!(
                "{address} is already in use: stop the program that listens there, or set AUDITSTREAM_LISTEN"
            ))
        } else {
            Fatal::new(format!("cannot listen on {address}: {error}"))
        }
    })
}

/// Prevents a second server from using the same database while the returned file is open.
pub(super) fn lock(path: &Path) -> Result<File, Fatal> {
    let refuse = |error: std::io::Error| Fatal::new(format!("cannot lock {}: {error}", path.display()));
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(refuse)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let path = path.display();
            Err(Fatal::new(format!(
                "another server is already using this data ({path} is locked): stop it first"
            )))
        }
        Err(TryLockError::Error(error)) => Err(refuse(error)),
    }
}

async fn create_first_admin(engine: &Engine, options: &Serve, public_url: &str) -> Result<(), Fatal> {
    if access::has_users(engine).await? {
        return Ok(());
    }
    if let (Some(email), Some(password)) = (&options.admin_email, &options.admin_password) {
        let actor = Actor::command_line(engine, &AccountName::default_account()).await?;
        return match access::create_user(engine, &actor, email, Role::Admin, password).await {
            // Another server with the same database was faster.
            Err(error) if error.code() == Code::DuplicateField => Ok(()),
            result => Ok(result?),
        };
    }
    let token = access::setup_link(engine).await?;
    let path = paths::one_time_link(paths::SETUP, &token);
    announce(&format!(
        "there is no user yet: set up the first admin within an hour at {public_url}{path}"
    ));
    Ok(())
}

fn signals() -> Result<impl Future<Output = ()> + Send + 'static, Fatal> {
    let refuse = |error| Fatal::new(format!("cannot listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(refuse)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refuse)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
