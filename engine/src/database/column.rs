//! Typed columns.

use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::{AnyTypeInfo, AnyValueRef};
use sqlx::error::BoxDynError;
use sqlx::{Any, Decode, Type};

use crate::error::{Error, Result};

/// A text column that contains JSON.
///
/// An unreadable value is an error when it is used, not when its row is read, so that one such row
/// breaks neither a list nor the run that reports it.
#[derive(Clone, Debug)]
pub(crate) struct Json<T> {
    text: String,
    value: Result<T, String>,
}

impl<T: Serialize> Json<T> {
    pub(crate) fn of(value: T) -> Result<Self> {
        let text = to_json(&value)?;
        let value = Ok(value);
        Ok(Self { text, value })
    }
}

impl<T> Json<T> {
    pub(crate) fn get(&self) -> Result<&T> {
        self.value.as_ref().map_err(unreadable)
    }

    pub(crate) fn into_value(self) -> Result<T> {
        self.value.map_err(unreadable)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl<T> Type<Any> for Json<T> {
    fn type_info() -> AnyTypeInfo {
        <String as Type<Any>>::type_info()
    }

    fn compatible(ty: &AnyTypeInfo) -> bool {
        <String as Type<Any>>::compatible(ty)
    }
}

impl<'r, T: DeserializeOwned> Decode<'r, Any> for Json<T> {
    fn decode(value: AnyValueRef<'r>) -> Result<Self, BoxDynError> {
        let text = <String as Decode<Any>>::decode(value)?;
        let value = serde_json::from_str(&text).map_err(|error| error.to_string());
        Ok(Self { text, value })
    }
}

pub(crate) fn to_json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(value)?)
}

/// Parses the text of a column. Rows keep such columns as text for the reason that [`Json`] has.
pub(crate) fn parse<T: TryFrom<String, Error: Display>>(text: &str) -> Result<T> {
    T::try_from(text.to_owned()).map_err(unreadable)
}

fn unreadable(error: impl Display) -> Error {
    Error::Broken(format!("stored data cannot be read: {error}"))
}
