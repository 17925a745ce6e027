//! Start, ready, stop.

use std::fs::{File, TryLockError};
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use auditstream_engine::database::DatabaseUrl;
use auditstream_engine::{Actor, Engine, access};
use auditstream_model::{AccountName, Code, Role};
use leptos::prelude::LeptosOptions;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::fatal::Fatal;
use crate::configuration::{Serve, Settings};
use crate::console::pages;
use crate::demo::Demo;
use crate::http::body_limit::Bodies;
use crate::http::client_address::Proxies;
use crate::http::connections::{self, Listener};
use crate::http::origins::Origins;
use crate::http::tls::Tls;
use crate::state::AppState;

/// How long requests in flight may take to end when the server stops.
const PATIENCE: Duration = Duration::from_secs(20);

/// `auditstream serve`: until SIGTERM or SIGINT.
///
/// # Errors
/// Whatever keeps the server from starting.
pub async fn run(settings: Settings, options: Serve) -> Result<(), Fatal> {
    if options.demo && !options.listen.ip().is_loopback() {
        let sentence = format!(
            "the demo serves on loopback only, not on {}: listen on 127.0.0.1:PORT",
            options.listen
        );
        return Err(Fatal::new(sentence));
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
        .map_err(|error| Fatal::new(format!("cannot tell the address: {error}")))?;
    let own_url = format!("{}://{address}", if tls.is_some() { "https" } else { "http" });
    let (public_url, origins) = match &options.public_url {
        Some(url) => (url.clone(), Origins::named(url)),
        None => (own_url.clone(), Origins::of_listener(&own_url, address)),
    };
    let engine = Engine::open(config).await?;
    let demo = if options.demo {
        Some(Demo::start(&engine, &settings.data_dir).await?)
    } else {
        None
    };
    let background = engine.start();
    match &demo {
        Some(demo) => announce(&demo.welcome(&public_url)),
        None => first_admin(&engine, &options, &public_url).await?,
    }
    let is_behind_tls = tls.is_none() && public_url.starts_with("https://");
    let is_behind_a_proxy = options.public_url.is_some() && address.ip().is_loopback() || is_behind_tls;
    if is_behind_a_proxy && options.trusted_proxies.is_none() {
        tracing::warn!(
            "people seem to come through a proxy, and AUDITSTREAM_TRUSTED_PROXIES names none: the trail has the proxy's address \
             for everybody, and guessing at passwords shuts out all of them together"
        );
    }
    announce(&format!("listening on {own_url}"));
    let metrics_token = options.metrics_token.filter(|token| !token.is_empty());
    let state = AppState {
        metrics_token: metrics_token.map(Into::into),
        origins,
        proxies: options.trusted_proxies.unwrap_or_default(),
        ..state(engine.clone(), &public_url)
    };
    serve(Listener::new(listener, tls), state, stop).await;
    background.stop().await;
    // Its store answers the last PUT.
    if let Some(demo) = demo {
        demo.stop();
    }
    engine.close().await;
    Ok(())
}

/// Serves until told to stop, and then until requests in flight have ended.
pub async fn serve(listener: impl Into<Listener>, state: AppState, stop: impl Future<Output = ()> + Send + 'static) {
    let listener = listener.into();
    let renewal = listener.renewal();
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let told = async move {
        stop.await;
        tracing::info!("stopping");
        let _ = stopping.send(());
    };
    let impatient = async move {
        // Fails when the server has ended by itself.
        if stopped.await.is_ok() {
            tokio::time::sleep(PATIENCE).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = connections::serve(listener, crate::router(state), connections::HEAD, told) => {}
        () = renewal => {}
        () = impatient => tracing::warn!("some requests did not end in time"),
    }
}

/// What the handlers reach, of a server that browsers see at this address; needs the runtime.
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
        origins: Origins::named(public_url),
        proxies: Proxies::default(),
        metrics_token: None,
        bodies: Bodies::default(),
        leptos,
        pages: pages::list(),
    }
}

/// Prints what people and programs wait for; logs go to standard error. Nobody may be listening.
fn announce(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Fatal> {
    TcpListener::bind(address).await.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AddrInUse {
            Fatal::new(format!(
                "{address} is already in use: stop what listens there, or set AUDITSTREAM_LISTEN"
            ))
        } else {
            Fatal::new(format!("cannot listen on {address}: {error}"))
        }
    })
}

/// Keeps a second server away from the same database, for as long as the file is held.
fn lock(path: &Path) -> Result<File, Fatal> {
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
            let sentence = format!(
                "another server runs on this data already ({} is locked): stop it first",
                path.display()
            );
            Err(Fatal::new(sentence))
        }
        Err(TryLockError::Error(error)) => Err(refuse(error)),
    }
}

/// Makes the first admin, or prints the link to do so.
async fn first_admin(engine: &Engine, options: &Serve, public_url: &str) -> Result<(), Fatal> {
    if access::has_users(engine).await? {
        return Ok(());
    }
    if let (Some(email), Some(password)) = (&options.admin_email, &options.admin_password) {
        let actor = Actor::command_line(engine, &AccountName::default_account()).await?;
        return match access::create_user(engine, &actor, email, Role::Admin, password).await {
            // Another server on this database was faster.
            Err(error) if error.problem().code == Code::DuplicateField => Ok(()),
            made => Ok(made?),
        };
    }
    let token = access::setup_link(engine).await?;
    announce(&format!(
        "no user yet: set up the first admin within an hour at {public_url}/setup?token={token}"
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
