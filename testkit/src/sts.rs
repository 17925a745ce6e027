//! A stand-in for AWS STS that checks signatures, roles, external ids, web identity tokens and
//! expiry. A store that shares its keys accepts the credentials that it issues.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::raw_http::{self, Request};
use crate::s3::{Key, Keys};

/// A role in another account.
pub const ROLE: &str = "arn:aws:iam::210987654321:role/siem";
/// The role of a pod.
pub const POD_ROLE: &str = "arn:aws:iam::123456789012:role/pod";
/// The web identity token of a pod.
pub const POD_TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.pod.token";

/// An STS server on loopback.
pub struct Sts {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    /// Shared with the connections that it serves.
    pub state: Arc<Mutex<State>>,
}

/// The roles and keys that the server knows.
#[derive(Default)]
pub struct State {
    /// Shared with the store.
    pub keys: Keys,
    /// Roles, with the external id that each requires.
    pub roles: HashMap<String, String>,
    /// Lifetime of the credentials that it issues.
    pub life: Duration,
    /// Whether it closes connections without a response.
    pub down: bool,
    /// The requests while it was down.
    pub missed: usize,
    /// The actions that succeeded, in order.
    pub calls: Vec<String>,
    issued: usize,
}

impl Sts {
    /// Starts a server that issues its credentials into `keys`.
    pub async fn start(keys: &Keys) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            keys: Arc::clone(keys),
            life: Duration::from_secs(3600),
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    let mut request = raw_http::read_head(&mut socket).await?;
                    raw_http::read_body(&mut socket, &mut request).await?;
                    {
                        let mut state = state.lock().unwrap();
                        state.missed += usize::from(state.down);
                        if state.down {
                            return None;
                        }
                    }
                    let (status, body) = match state.lock().unwrap().call(&request) {
                        Ok(body) => (200, body),
                        Err((status, code, message)) => (
                            status,
                            format!(
                                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                                 <Code>{code}</Code><Message>{message}</Message></Error><RequestId>r-1</RequestId></ErrorResponse>"
                            ),
                        ),
                    };
                    raw_http::answer(&mut socket, status, &[("x-amzn-requestid", "sts-request-1")], &body).await;
                    Some(())
                });
            }
        });
        Self { endpoint, state }
    }

    /// Adds a role that requires this external id.
    pub fn trust(&self, role: &str, external_id: &str) {
        let mut state = self.state.lock().unwrap();
        state.roles.insert(role.to_owned(), external_id.to_owned());
    }

    /// Sets the lifetime of credentials that are issued from now on.
    pub fn life(&self, life: Duration) {
        self.state.lock().unwrap().life = life;
    }

    /// Returns how often `action` has succeeded.
    #[must_use]
    pub fn calls(&self, action: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.calls.iter().filter(|call| *call == action).count()
    }
}

type Refusal = (u16, &'static str, String);

impl State {
    fn call(&mut self, request: &Request) -> Result<String, Refusal> {
        let form = form(&request.body);
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        let action = field("Action");
        let answer = match action.as_str() {
            "GetCallerIdentity" => {
                let arn = self.signed(request)?.arn;
                format!("<Arn>{arn}</Arn><UserId>U</UserId><Account>123456789012</Account>")
            }
            "AssumeRole" => {
                let caller = self.signed(request)?;
                let role = field("RoleArn");
                if self.roles.get(&role) != Some(&field("ExternalId")) {
                    // AWS does not reveal whether the role exists.
                    return Err((
                        403,
                        "AccessDenied",
                        format!(
                            "User: {} is not authorized to perform: sts:AssumeRole on resource: {role}",
                            caller.arn
                        ),
                    ));
                }
                self.issue(&role, &session(&field("RoleSessionName"))?)
            }
            "AssumeRoleWithWebIdentity" => {
                if request.header("authorization").is_some() || field("WebIdentityToken") != POD_TOKEN {
                    return Err((400, "InvalidIdentityToken", "The token is not known".into()));
                }
                if field("RoleArn") != POD_ROLE {
                    return Err((
                        403,
                        "AccessDenied",
                        "Not authorized to perform sts:AssumeRoleWithWebIdentity".into(),
                    ));
                }
                self.issue(POD_ROLE, &session(&field("RoleSessionName"))?)
            }
            other => return Err((400, "InvalidAction", format!("{other} is not known"))),
        };
        let xml = format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>{answer}</{action}Result>\
             <ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></{action}Response>"
        );
        self.calls.push(action);
        Ok(xml)
    }

    fn issue(&mut self, role: &str, session: &str) -> String {
        self.issued += 1;
        let expires = SystemTime::now() + self.life;
        let access_key = format!("ASIAGIVEN{}", self.issued);
        let key = Key {
            secret: format!("given-secret-{}", self.issued),
            token: Some(format!("given-token-{}", self.issued)),
            expires: Some(expires),
            arn: format!("{role}/{session}"),
        };
        let xml = format!(
            "<Credentials><AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
             <SessionToken>{}</SessionToken><Expiration>{}</Expiration></Credentials>",
            key.secret,
            key.token.as_ref().unwrap(),
            jiff::Timestamp::try_from(expires).unwrap()
        );
        self.keys.lock().unwrap().insert(access_key, key);
        xml
    }

    /// Verifies the AWS Signature Version 4 of the request and returns the key that signed it.
    fn signed(&self, request: &Request) -> Result<Key, Refusal> {
        let refuse = |code: &'static str, message: &str| Err((403, code, message.to_owned()));
        let Some(authorization) = request.header("authorization") else {
            return refuse("MissingAuthenticationToken", "Request is missing Authentication Token");
        };
        let part = |name: &str| {
            let (_, rest) = authorization.split_once(&format!("{name}=")).unwrap();
            rest.split(',').next().unwrap().to_owned()
        };
        let credential = part("Credential");
        let scope: Vec<&str> = credential.split('/').collect();
        let Some(key) = self.keys.lock().unwrap().get(scope[0]).cloned() else {
            return refuse(
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            );
        };
        if key.token.as_deref() != request.header("x-amz-security-token") {
            return refuse(
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            );
        }
        let signed_headers = part("SignedHeaders");
        let headers: String = signed_headers
            .split(';')
            .map(|name| format!("{name}:{}\n", request.header(name).unwrap_or_default()))
            .collect();
        let canonical = format!(
            "{}\n{}\n\n{headers}\n{signed_headers}\n{}",
            request.method,
            request.path,
            hex(&Sha256::digest(&request.body))
        );
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            request.header("x-amz-date").unwrap(),
            scope[1..].join("/"),
            hex(&Sha256::digest(canonical.as_bytes()))
        );
        let mut signing = format!("AWS4{}", key.secret).into_bytes();
        for word in &scope[1..] {
            signing = hmac(&signing, word.as_bytes());
        }
        if hex(&hmac(&signing, to_sign.as_bytes())) != part("Signature") {
            return refuse(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match",
            );
        }
        if key.expires.is_some_and(|expires| expires < SystemTime::now()) {
            return refuse("ExpiredToken", "The security token included in the request is expired");
        }
        Ok(key)
    }
}

/// Checks a session name by the rules of AWS.
fn session(name: &str) -> Result<String, Refusal> {
    let is_valid = (2..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
    if is_valid {
        Ok(name.to_owned())
    } else {
        Err((400, "ValidationError", "roleSessionName".into()))
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |byte: u8| block.iter().map(|b| b ^ byte).collect::<Vec<u8>>();
    let inner = Sha256::digest([pad(0x36), message.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn form(body: &[u8]) -> HashMap<String, String> {
    let text = std::str::from_utf8(body).unwrap();
    let decode = |text: &str| {
        let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
        while let Some(&byte) = rest.first() {
            if byte == b'%' {
                let digits = std::str::from_utf8(&rest[1..3]).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest = &rest[3..];
            } else {
                bytes.push(if byte == b'+' { b' ' } else { byte });
                rest = &rest[1..];
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}
