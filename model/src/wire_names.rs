//! Enums whose variants have a fixed name in JSON, in the database and on the command line.

/// The error for a text that is not the wire name of any variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("“{name}” is not one of {known}")]
pub struct UnknownName {
    name: String,
    known: String,
}

impl UnknownName {
    pub(crate) fn new(name: &str, known: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            known: known.join(", "),
        }
    }
}

/// Defines an enum by its variants' wire names, so that a name is written once.
///
/// A name is a `tt`, not a `literal`: derives other than serde's cannot read a literal that a macro
/// has captured, and the OpenAPI document would list the variants instead.
macro_rules! wire_names {
    (
        $(#[$attribute:meta])*
        pub enum $enum:ident {
            $($(#[$variant_attribute:meta])* $variant:ident = $name:tt,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $enum {
            $($(#[$variant_attribute])* #[serde(rename = $name)] $variant,)*
        }

        impl $enum {
            /// Every variant, in order of declaration.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// Returns the wire name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $enum {
            type Err = crate::UnknownName;
            fn from_str(name: &str) -> Result<Self, Self::Err> {
                match name {
                    $($name => Ok(Self::$variant),)*
                    _ => Err(crate::UnknownName::new(name, &[$($name),*])),
                }
            }
        }

        impl TryFrom<String> for $enum {
            type Error = crate::UnknownName;
            fn try_from(name: String) -> Result<Self, Self::Error> {
                name.parse()
            }
        }
    };
}

pub(crate) use wire_names;

#[cfg(test)]
mod tests {
    use crate::{BatchStatus, ClockState, FailureCode, Role, Status, TimeRange};

    macro_rules! assert_round_trips {
        ($($enum:ident),*) => {$(
            for value in $enum::ALL {
                assert_eq!(value.as_str().parse(), Ok(value));
                assert_eq!($enum::try_from(value.to_string()), Ok(value));
                let json = serde_json::to_string(&value).unwrap();
                assert_eq!(json, format!("{:?}", value.as_str()));
                assert_eq!(serde_json::from_str::<$enum>(&json).unwrap(), value);
            }
        )*};
    }

    #[test]
    fn names_are_the_same_in_text_and_json() {
        assert_round_trips!(BatchStatus, ClockState, FailureCode, Role, Status, TimeRange);
    }

    #[test]
    fn an_unknown_name_is_reported_with_the_known_ones() {
        let error = "OFF".parse::<Status>().unwrap_err();
        assert_eq!(error.to_string(), "“OFF” is not one of ACTIVE, INACTIVE");
    }

    #[cfg(feature = "openapi")]
    #[test]
    fn the_schema_lists_the_wire_names() {
        let schema = serde_json::to_value(<Role as utoipa::PartialSchema>::schema()).unwrap();
        assert_eq!(schema["enum"], serde_json::json!(Role::ALL));
    }
}
