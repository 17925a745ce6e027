//! The four fields that identify and describe a connector or a destination.

use std::collections::BTreeMap;

use crate::{Description, FieldErrors, Identifier, Name, Tags};

pub(crate) struct Metadata {
    pub(crate) identifier: Identifier,
    pub(crate) name: Name,
    pub(crate) description: Description,
    pub(crate) tags: Tags,
}

impl Metadata {
    /// Returns `None` when a field is invalid, after adding each error to `errors`.
    pub(crate) fn parse(
        identifier: &str,
        name: &str,
        description: &str,
        tags: BTreeMap<String, String>,
        errors: &mut FieldErrors,
    ) -> Option<Self> {
        let identifier = errors.take("identifier", Identifier::parse(identifier));
        let name = errors.take("name", Name::parse(name));
        let description = errors.take("description", Description::parse(description));
        let tags = errors.take("tags", Tags::parse(tags));
        Some(Self {
            identifier: identifier?,
            name: name?,
            description: description?,
            tags: tags?,
        })
    }
}
