//! The author of a request, and their permissions. Each function of the engine that serves a
//! request takes an [`Actor`] and checks its permission.

use auditstream_model::{AccountName, Code, Permission, Role, Scope, SignedIn};
use serde_json::{Value, json};

use crate::error::{Error, Result};

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
    /// The operator running the binary, who has every permission.
    CommandLine,
    System,
}

/// The author of a request, in one account.
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

    pub(crate) fn operator(account_id: i64, account: AccountName) -> Self {
        Self::new(account_id, account, Kind::CommandLine)
    }

    /// Adds the origin of the request.
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

    /// The user's e-mail address; `None` for tokens and commands.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        match &self.kind {
            Kind::Person { email, .. } => Some(email),
            _ => None,
        }
    }

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

    /// Whether this actor has a permission.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        match &self.kind {
            Kind::Person { role, .. } => role.allows(permission),
            Kind::Token { scopes, .. } => scopes.iter().any(|scope| scope.allows(permission)),
            Kind::CommandLine | Kind::System => true,
        }
    }

    /// Refuses an actor without a permission.
    ///
    /// # Errors
    /// [`Code::Forbidden`], which names the permission.
    pub fn require(&self, permission: Permission) -> Result<()> {
        if self.may(permission) {
            return Ok(());
        }
        let name = serde_json::to_value(permission)?;
        let name = name.as_str().unwrap_or_default();
        Err(Error::refused(
            Code::Forbidden,
            format!("This needs the permission {name}. Ask an account admin."),
        ))
    }

    /// The user as the console shows them; `None` for tokens and commands.
    #[must_use]
    pub fn signed_in(&self, streaming_enabled: bool) -> Option<SignedIn> {
        let Kind::Person { email, role } = &self.kind else {
            return None;
        };
        Some(SignedIn {
            email: email.clone(),
            role: *role,
            account: self.account.clone(),
            streaming_enabled,
        })
    }

    pub(crate) fn principal(&self) -> Value {
        let name = self.name();
        match &self.kind {
            Kind::Person { .. } => json!({"type": "USER", "identifier": name, "email": name}),
            Kind::Token { .. } => json!({"type": "API_KEY", "identifier": name}),
            Kind::CommandLine | Kind::System => json!({"type": "SYSTEM", "identifier": name}),
        }
    }
}
