//! Self-audit: every change is an audit event in the transaction that makes the change.

use auditstream_model::{Code, Sequence};
use serde::Serialize;
use serde_json::{Value, json};

use super::append::{Appended, append};
use super::check::prepare;
use crate::Actor;
use crate::database::WriteTx;
use crate::error::{Error, Result};

pub(crate) struct Change<'a> {
    /// `STREAMING_DESTINATION`, `CONNECTOR`, `USER` …
    pub kind: &'static str,
    pub identifier: &'a str,
    /// `CREATE`, `UPDATE` …
    pub action: &'static str,
    /// Without secrets; null if there was none.
    pub old: Value,
    /// Without secrets; null if there is none.
    pub new: Value,
}

impl<'a> Change<'a> {
    /// A change of one resource. Every value of the engine can be written as JSON.
    pub(crate) fn of(
        kind: &'static str,
        identifier: &'a str,
        action: &'static str,
        old: impl Serialize,
        new: impl Serialize,
    ) -> Self {
        let value = |json: serde_json::Result<Value>| json.unwrap_or(Value::Null);
        Self {
            kind,
            identifier,
            action,
            old: value(serde_json::to_value(old)),
            new: value(serde_json::to_value(new)),
        }
    }
}

pub(crate) async fn record(tx: &mut WriteTx, actor: &Actor, change: Change<'_>) -> Result<Sequence> {
    let id: [u8; 16] = rand::random();
    let mut event = json!({
        "auditEventId": id.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        "auditEventAuthor": {"principal": actor.principal()},
        "auditModule": "CORE",
        "auditResource": {"type": change.kind, "identifier": change.identifier},
        "auditResourceScope": {"accountIdentifier": actor.account().as_str()},
        "auditAction": change.action,
        "auditEventTime": tx.now().to_string(),
        "auditEventMetadata": {"difference": {"old": change.old, "new": change.new}},
    });
    if let Some(request) = actor.request() {
        event["auditHttpRequestInfo"] = json!({"requestMethod": request.method, "clientIP": request.client_ip});
    }
    let json = serde_json::value::to_raw_value(&event)?;
    let prepared = prepare(&json, actor.account().as_str())?.mark_as_self_recorded();
    match append(tx, actor.account_id(), &[prepared]).await? {
        Appended::Stored(outcome) => outcome
            .first_sequence
            .ok_or_else(|| Error::refused(Code::Internal, "the audit event of a change was not numbered")),
        Appended::Conflicts { .. } => Err(Error::Broken("two audit events got the same random id".into())),
    }
}
