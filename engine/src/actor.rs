//! Who acts, and what they may. Every function of the engine that serves a request takes an [`Actor`] and asks it itself.

use auditstream_model::{AccountName, Code, Permission, Role, Scope, SignedIn};
use serde_json::{Value, json};

use crate::Engine;
use crate::error::{Error, Result};

/// Where a request came from; part of the audit event of what it changed.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) client_ip: String,
}

#[derive(Clone, Debug)]
enum Kind {
    Person {
        email: String,
        role: Role,
    },
    Token {
        name: String,
        scopes: Vec<Scope>,
    },
    /// Who runs the binary; may everything.
    CommandLine,
    /// The server itself: destinations that fail or recover.
    System,
}

/// Who acts, in which account.
#[derive(Clone, Debug)]
pub struct Actor {
    account_id: i64,
    account: AccountName,
    kind: Kind,
    request: Option<Request>,
}

impl Actor {
    fn new(account_id: i64, account: AccountName, kind: Kind) -> Self {
        Self {
            account_id,
            account,
            kind,
            request: None,
        }
    }

    pub(crate) fn person(account_id: i64, account: AccountName, email: String, role: Role) -> Self {
        Self::new(account_id, account, Kind::Person { email, role })
    }

    pub(crate) fn token(account_id: i64, account: AccountName, name: String, scopes: Vec<Scope>) -> Self {
        Self::new(account_id, account, Kind::Token { name, scopes })
    }

    pub(crate) fn system(account_id: i64, account: AccountName) -> Self {
        Self::new(account_id, account, Kind::System)
    }

    /// The operator of the binary.
    pub(crate) fn operator(account_id: i64, account: AccountName) -> Self {
        Self::new(account_id, account, Kind::CommandLine)
    }

    /// The same actor, with where the request came from.
    #[must_use]
    pub fn with_request(mut self, method: &str, client_ip: &str) -> Self {
        self.request = Some(Request {
            method: method.to_owned(),
            client_ip: client_ip.to_owned(),
        });
        self
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> &AccountName {
        &self.account
    }

    /// The person's e-mail address; none for tokens and commands.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        match &self.kind {
            Kind::Person { email, .. } => Some(email),
            _ => None,
        }
    }

    /// What audit events call this actor.
    pub(crate) fn name(&self) -> &str {
        match &self.kind {
            Kind::Person { email, .. } => email,
            Kind::Token { name, .. } => name,
            Kind::CommandLine => "command line",
            Kind::System => "auditstream",
        }
    }

    pub(crate) fn account_id(&self) -> i64 {
        self.account_id
    }

    pub(crate) fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    /// Whether this actor may.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        match &self.kind {
            Kind::Person { role, .. } => role.allows(permission),
            Kind::Token { scopes, .. } => scopes.iter().any(|scope| scope.allows(permission)),
            Kind::CommandLine | Kind::System => true,
        }
    }

    /// # Errors
    /// [`Code::Forbidden`], naming the permission.
    pub fn require(&self, permission: Permission) -> Result<()> {
        if self.may(permission) {
            return Ok(());
        }
        let word = serde_json::to_value(permission)?;
        let word = word.as_str().unwrap_or_default();
        Err(Error::refused(
            Code::Forbidden,
            format!("This needs the permission {word}. Ask an account admin."),
        ))
    }

    /// The person, as the console shows them; none for tokens and commands.
    #[must_use]
    pub fn signed_in(&self, engine: &Engine) -> Option<SignedIn> {
        let Kind::Person { email, role } = &self.kind else {
            return None;
        };
        let streaming_enabled = engine.streaming_enabled();
        Some(SignedIn {
            email: email.clone(),
            role: *role,
            account: self.account.clone(),
            streaming_enabled,
        })
    }

    /// `auditEventAuthor.principal`.
    pub(crate) fn principal(&self) -> Value {
        let name = self.name();
        match &self.kind {
            Kind::Person { .. } => json!({"type": "USER", "identifier": name, "email": name}),
            Kind::Token { .. } => json!({"type": "API_KEY", "identifier": name}),
            Kind::CommandLine | Kind::System => json!({"type": "SYSTEM", "identifier": name}),
        }
    }
}
