//! `auditstream serve`: starts the server, announces that it is ready, and stops it gracefully.

use std::fs::{File, TryLockError};
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use auditstream_app::paths;
use auditstream_engine::database::DatabaseUrl;
use auditstream_engine::{Actor, Background, Engine, access, continuity};
use auditstream_model::{AccountName, Code, Role};
use leptos::prelude::LeptosOptions;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use super::signals::Signals;
use crate::configuration::{Serve, Settings};
use crate::console::pages;
use crate::demo::Demo;
use crate::fatal::Fatal;
use crate::http::body_limit::BodyReader;
use crate::http::client_address::Proxies;
use crate::http::connections::{self, Listener};
use crate::http::origins::Origins;
use crate::http::response_memory::ResponseMemory;
use crate::http::tls::Tls;
use crate::site;
use crate::state::{AppState, Parts};

/// How long the start waits for buckets that may prove the database to be older.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long requests in flight get to finish when the server stops.
const REQUESTS_TIMEOUT: Duration = Duration::from_secs(15);
/// How long PUTs in flight get to finish. One that does not is completed at the next start, or by
/// another server.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(20);
/// How long statements in flight, such as searches, can delay the end. With the other limits, a
/// stop without `--drain` takes less than the 30 seconds after which Kubernetes kills.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// Serves until SIGTERM or SIGINT. A second one ends the server at once.
pub async fn run(settings: Settings, options: Serve) -> Result<(), Fatal> {
    let mut signals = Signals::install()?;
    let server = tokio::select! {
        started = Server::start(settings, options) => started?,
        _ = signals.stop(None) => {
            tracing::info!("stopped before the server was ready");
            return Ok(());
        }
    };
    let (first, stopped) = oneshot::channel();
    let signals = signals.stop_twice(first, server.listener.tls());
    tokio::select! {
        () = server.run(async move { drop(stopped.await) }) => Ok(()),
        signal = signals => Err(Fatal::interrupted(signal)),
    }
}

/// A server that is ready to accept connections.
struct Server {
    listener: Listener,
    state: AppState,
    background: Background,
    demo: Option<Demo>,
    drain: Duration,
    /// Open, so that no second server uses the same SQLite database.
    _lock: Option<File>,
}

impl Server {
    async fn start(settings: Settings, options: Serve) -> Result<Self, Fatal> {
        if options.demo && !options.listen.ip().is_loopback() {
            return Err(Fatal::new(format!(
                "the demo listens on loopback addresses only, not on {}: use 127.0.0.1:PORT",
                options.listen
            )));
        }
        let settings = if options.demo { settings.for_demo() } else { settings };
        let tls = Tls::open(options.tls_cert.as_deref(), options.tls_key.as_deref())?;
        let config = settings.engine()?;
        let lock = match &config.database {
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
        let mut state = state(engine, &public_url);
        state.metrics_token = metrics_token.map(Into::into);
        state.origins = origins;
        let proxies = options.trusted_proxies.unwrap_or_default();
        state.proxies = proxies.writing(options.forwarded_header);
        Ok(Self {
            listener: Listener::new(listener, tls),
            state,
            background,
            demo,
            drain: options.drain,
            _lock: lock,
        })
    }

    /// Serves until `stop` completes. Then the server is not ready any more, but accepts
    /// connections while load balancers notice that; then requests and PUTs in flight finish.
    async fn run(self, stop: impl Future<Output = ()>) {
        let (close, closing) = watch::channel(false);
        let closed =
            |mut closing: watch::Receiver<bool>| async move { drop(closing.wait_for(|closing| *closing).await) };
        let drain = async {
            stop.await;
            self.state.stopping.store(true, Ordering::Relaxed);
            tracing::info!(drain_seconds = self.drain.as_secs(), "stopping");
            tokio::time::sleep(self.drain).await;
            close.send_replace(true);
        };
        let serving = serve(self.listener, self.state.clone(), closed(closing.clone()));
        let background = async {
            closed(closing).await;
            if tokio::time::timeout(BACKGROUND_TIMEOUT, self.background.stop())
                .await
                .is_err()
            {
                tracing::warn!("some PUTs did not finish in time; the next start completes them");
            }
        };
        tokio::join!(drain, serving, background);
        // After the background tasks, whose last PUT needs the demo's store.
        if let Some(demo) = self.demo {
            demo.stop();
        }
        if tokio::time::timeout(CLOSE_TIMEOUT, self.state.engine.close())
            .await
            .is_err()
        {
            tracing::warn!("some statements did not finish in time; nothing that was acknowledged is lost");
        }
        tracing::info!("stopped");
    }
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
    let (engine, tls) = (state.engine.clone(), listener.tls());
    let renewal = engine.supervise("tls_renewal", || renew(tls.clone()));
    let limits = connections::Limits {
        proxies: state.proxies.clone(),
        ..connections::Limits::default()
    };
    let (stopping, stopped) = oneshot::channel();
    let stop = async move {
        stop.await;
        let _ = stopping.send(());
    };
    let requests_timeout = async move {
        // Fails if the server has ended by itself.
        if stopped.await.is_ok() {
            tokio::time::sleep(REQUESTS_TIMEOUT).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = connections::serve(listener, crate::router(state), limits, stop) => {}
        () = renewal => {}
        () = requests_timeout => tracing::warn!("some requests did not finish in time"),
    }
}

/// Loads the certificate again whenever its files change; never completes.
async fn renew(tls: Option<Tls>) {
    match tls {
        Some(tls) => tls.reload_periodically().await,
        None => std::future::pending().await,
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
    AppState::from(Parts {
        engine,
        public_url: public_url.into(),
        origins: Origins::of_public_url(public_url),
        proxies: Proxies::default(),
        metrics_token: None,
        stopping: Arc::default(),
        body_reader: BodyReader::default(),
        response_memory: ResponseMemory::default(),
        leptos,
        pages: pages::list(),
    })
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
        .mode(0o600)
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
