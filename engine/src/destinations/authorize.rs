//! The check with which every operation on destinations begins.

use auditstream_model::Permission;

use crate::error::Result;
use crate::{Actor, Engine};

pub(super) fn authorize(engine: &Engine, actor: &Actor, permission: Permission) -> Result<()> {
    engine.require_streaming()?;
    actor.require(permission)
}
