//! A proxy between a client and a store that breaks connections and forges responses.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Store;
use crate::raw_http::{self, Request};

/// The fate of the PUT of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkFault {
    /// 500.
    ServerError,
    /// 503 `SlowDown`.
    SlowDown,
    /// The connection is reset before the body is read.
    ResetBefore,
    /// The connection is reset while the body is sent.
    ResetDuring,
    /// The connection is reset after the body was read; nothing is stored.
    ResetAfter,
    /// The object is stored; the connection is reset instead of a response.
    LostAnswer,
    /// The request is read and never answered.
    Silence,
    /// 403.
    Denied,
    /// 404 `NoSuchBucket`.
    NoBucket,
    /// 301 with the region in a header.
    Moved,
    /// 400 with the region in the body.
    WrongSignatureRegion,
    /// 307 without the region, which HeadBucket reports.
    MovedAsk,
    /// 301 without the region, which nothing reports.
    MovedNowhere,
    /// 403 `RequestTimeTooSkewed`.
    Skewed,
    /// 200 with an error in the body.
    ErrorIn200,
    /// 409.
    Conflict,
    /// The object is stored; the response is 412, as if it had existed.
    SameBytes,
    /// The object is stored; the response is 304.
    NotModified,
    /// Another object has the key.
    OtherBytes,
    /// The response is lost, and reading is forbidden.
    LostAndUnreadable,
    /// The response is lost, and the store then ignores the condition.
    LostAndOverwritten,
}

/// The behaviour of the proxy, and the requests that it has seen.
#[derive(Debug, Default)]
pub struct ProxyState {
    /// The faults that the next PUTs of batches meet.
    pub faults: VecDeque<NetworkFault>,
    /// The methods that are refused with 403 for every object.
    pub denied: Vec<&'static str>,
    /// Whether listing a bucket is refused with 403.
    pub denied_listing: bool,
    /// Whether the store overwrites objects despite `If-None-Match`.
    pub ignores_condition: bool,
    /// Whether the store does not implement `If-None-Match`.
    pub lacks_condition: bool,
    /// The methods of all requests for objects, in order.
    pub methods: Vec<String>,
    /// The region that HeadBucket reports; `None` forwards it to the store.
    pub region: Option<String>,
    /// The region for which each PUT was signed.
    pub regions: Vec<String>,
    moves: usize,
}

/// A proxy on loopback in front of a store.
#[derive(Debug)]
pub struct Proxy {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    /// Shared with the connections that it serves.
    pub state: Arc<Mutex<ProxyState>>,
}

impl Proxy {
    /// Starts a proxy in front of `store`.
    pub async fn start(store: &Store) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(ProxyState::default()));
        let shared = Arc::clone(&state);
        let upstream = Upstream {
            address: store.endpoint.trim_start_matches("http://").to_owned(),
            folder: store.path("", ""),
        };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (state, upstream) = (Arc::clone(&shared), upstream.clone());
                tokio::spawn(async move { upstream.serve(socket, &state).await });
            }
        });
        Self { endpoint, state }
    }

    /// Queues the faults that the next PUTs of batches meet.
    pub fn next(&self, faults: &[NetworkFault]) {
        self.state.lock().unwrap().faults.extend(faults);
    }
}

#[derive(Clone)]
struct Upstream {
    address: String,
    folder: PathBuf,
}

/// The proxy's decision about a request, made before it reads the body.
struct Plan {
    fault: Option<NetworkFault>,
    /// The region that the response names; empty for none.
    region: String,
    denied: bool,
    overwrites: bool,
    not_implemented: bool,
}

fn plan(request: &Request, path: &str, is_object: bool, state: &mut ProxyState) -> Plan {
    let is_put = request.method == "PUT";
    let fault = if is_put && path.contains("account=") {
        state.faults.pop_front()
    } else {
        None
    };
    if is_put {
        state.regions.push(request.region().unwrap_or_default().to_owned());
    }
    if is_object {
        state.methods.push(request.method.clone());
    }
    state.moves += 1;
    let elsewhere = format!("eu-west-{}", state.moves);
    if fault == Some(NetworkFault::MovedAsk) {
        state.region = Some(elsewhere.clone());
    }
    let region = if is_put { Some(elsewhere) } else { state.region.clone() };
    Plan {
        fault,
        region: region.unwrap_or_default(),
        denied: is_object && state.denied.contains(&request.method.as_str())
            || state.denied_listing && request.path.contains("list-type="),
        overwrites: is_put && state.ignores_condition,
        not_implemented: state.lacks_condition && request.header("if-none-match").is_some(),
    }
}

impl Upstream {
    async fn serve(&self, mut socket: TcpStream, state: &Mutex<ProxyState>) -> Option<()> {
        let mut request = raw_http::read_head(&mut socket).await?;
        let path = request.path.split('?').next().unwrap().replace("%3D", "=");
        let object = self.folder.join(path.trim_start_matches('/'));
        let is_object = path.trim_matches('/').contains('/');
        let plan = plan(&request, &path, is_object, &mut state.lock().unwrap());
        match plan.fault {
            Some(NetworkFault::ResetBefore) => {
                raw_http::reset(socket);
                return None;
            }
            Some(NetworkFault::ResetDuring) => {
                let length: usize = request.header("content-length")?.parse().ok()?;
                while request.body.is_empty() {
                    socket.read_buf(&mut request.body).await.ok()?;
                }
                assert!(request.body.len() < length, "the body is too short for this fault");
                raw_http::reset(socket);
                return None;
            }
            _ => {}
        }
        raw_http::read_body(&mut socket, &mut request).await?;
        if plan.denied {
            raw_http::answer(&mut socket, 403, &[], &error("AccessDenied", "")).await;
            return None;
        }
        if plan.not_implemented {
            let body = error("NotImplemented", "<Header>If-None-Match</Header>");
            raw_http::answer(&mut socket, 501, &[], &body).await;
            return None;
        }
        if plan.overwrites && object.is_file() {
            std::fs::remove_file(&object).unwrap();
        }
        if !is_object && request.method == "HEAD" && !plan.region.is_empty() {
            let headers = [("x-amz-bucket-region", plan.region.as_str())];
            raw_http::answer(&mut socket, 301, &headers, "").await;
            return None;
        }
        match plan.fault {
            None => self.pass_on(&request, &mut socket).await,
            Some(fault) => {
                self.break_down(fault, &plan.region, &request, &object, socket, state)
                    .await
            }
        }
    }

    async fn pass_on(&self, request: &Request, socket: &mut TcpStream) -> Option<()> {
        let response = self.forward(request).await?;
        socket.write_all(&response).await.ok()
    }

    async fn break_down(
        &self,
        fault: NetworkFault,
        region: &str,
        request: &Request,
        object: &Path,
        mut socket: TcpStream,
        state: &Mutex<ProxyState>,
    ) -> Option<()> {
        match fault {
            NetworkFault::ResetAfter => raw_http::reset(socket),
            NetworkFault::LostAnswer | NetworkFault::LostAndUnreadable | NetworkFault::LostAndOverwritten => {
                self.forward(request).await?;
                let mut state = state.lock().unwrap();
                if fault == NetworkFault::LostAndUnreadable {
                    state.denied.push("HEAD");
                }
                state.ignores_condition |= fault == NetworkFault::LostAndOverwritten;
                raw_http::reset(socket);
            }
            NetworkFault::Silence => {
                let mut rest = Vec::new();
                socket.read_to_end(&mut rest).await.ok()?;
            }
            NetworkFault::SameBytes | NetworkFault::NotModified => {
                self.forward(request).await?;
                let status = if fault == NetworkFault::SameBytes { 412 } else { 304 };
                raw_http::answer(&mut socket, status, &[], "").await;
            }
            NetworkFault::OtherBytes => {
                let bucket = object.strip_prefix(&self.folder).unwrap().components().next().unwrap();
                // Creating the folder of a mistyped bucket would create the bucket.
                if self.folder.join(bucket).is_dir() && !object.exists() {
                    std::fs::create_dir_all(object.parent().unwrap()).unwrap();
                    std::fs::write(object, "another writer's").unwrap();
                }
                self.pass_on(request, &mut socket).await?;
            }
            _ => {
                let (status, header, body) = forged(fault, region);
                let headers: Vec<(&str, &str)> = header.into_iter().collect();
                raw_http::answer(&mut socket, status, &headers, &body).await;
            }
        }
        Some(())
    }

    async fn forward(&self, request: &Request) -> Option<Vec<u8>> {
        let mut store = TcpStream::connect(&self.address).await.ok()?;
        store.write_all(&request.bytes()).await.ok()?;
        let mut answer = Vec::new();
        store.read_to_end(&mut answer).await.ok()?;
        Some(answer)
    }
}

fn forged(fault: NetworkFault, region: &str) -> (u16, Option<(&'static str, &str)>, String) {
    match fault {
        NetworkFault::ServerError => (500, None, error("InternalError", "")),
        NetworkFault::SlowDown => (503, None, error("SlowDown", "")),
        NetworkFault::Denied => (403, Some(("x-amz-request-id", "REQUEST1")), error("AccessDenied", "")),
        NetworkFault::NoBucket => (404, None, error("NoSuchBucket", "")),
        NetworkFault::Moved => (
            301,
            Some(("x-amz-bucket-region", region)),
            error("PermanentRedirect", ""),
        ),
        NetworkFault::WrongSignatureRegion => {
            let element = format!("<Region>{region}</Region>");
            (400, None, error("AuthorizationHeaderMalformed", &element))
        }
        NetworkFault::MovedAsk => (307, None, error("TemporaryRedirect", "")),
        NetworkFault::MovedNowhere => (301, None, error("PermanentRedirect", "")),
        NetworkFault::Skewed => (
            403,
            Some(("date", "Tue, 24 Nov 2015 08:00:00 GMT")),
            error("RequestTimeTooSkewed", ""),
        ),
        NetworkFault::ErrorIn200 => (200, None, error("InternalError", "")),
        NetworkFault::Conflict => (409, None, error("ConditionalRequestConflict", "")),
        other => unreachable!("{other:?} is applied to the connection"),
    }
}

fn error(code: &str, more: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>injected</Message>{more}</Error>")
}
