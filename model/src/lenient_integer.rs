//! Deserializers for integers that accept `860.0` for `860`, as JSON Schema does.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// 2^53: larger integers are not all exact as `f64`.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

struct LenientInteger<T>(T);

impl<'de, T: TryFrom<i64>> Deserialize<'de> for LenientInteger<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<T>(PhantomData<T>);
        impl<T: TryFrom<i64>> Visitor<'_> for Number<T> {
            type Value = LenientInteger<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                let fits = T::try_from(number).map(LenientInteger);
                fits.map_err(|_| E::invalid_value(Unexpected::Signed(number), &"a whole number within its limits"))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                let signed = i64::try_from(number).ok();
                let fits = signed.and_then(|number| T::try_from(number).ok());
                fits.map(LenientInteger)
                    .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &"a whole number within its limits"))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                if number.fract() != 0.0 || number.abs() > MAX_EXACT {
                    return Err(E::invalid_value(Unexpected::Float(number), &self));
                }
                #[expect(clippy::cast_possible_truncation, reason = "an integer, exact in both types")]
                self.visit_i64(number as i64)
            }
        }
        deserializer.deserialize_any(Number(PhantomData))
    }
}

/// Deserializes a required field.
pub fn required<'de, D: Deserializer<'de>, T: TryFrom<i64>>(field: D) -> Result<T, D::Error> {
    LenientInteger::deserialize(field).map(|integer| integer.0)
}

/// Deserializes a field that may be null, or omitted with `#[serde(default)]`.
pub fn optional<'de, D: Deserializer<'de>, T: TryFrom<i64>>(field: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<LenientInteger<T>>::deserialize(field)?.map(|integer| integer.0))
}

/// Deserializes a field in which null is a value of its field, unlike a field that is omitted with
/// `#[serde(default)]`: `Some(None)` and `None`.
pub fn nullable<'de, D: Deserializer<'de>, T: TryFrom<i64>>(field: D) -> Result<Option<Option<T>>, D::Error> {
    optional(field).map(Some)
}

#[cfg(test)]
mod tests {
    use crate::{ApiTokenInput, Backoff};

    #[test]
    fn a_zero_fraction_is_accepted_and_any_other_is_refused() {
        let backoff = |text: &str| {
            let json = format!(r#"{{"fixed_backoff": {text}, "retry_count": 3.0, "type": "FIXED_DELAY"}}"#);
            serde_json::from_str::<Backoff>(&json).map_err(|error| error.to_string())
        };
        let expected = Ok(Backoff::FixedDelay {
            fixed_backoff: 860,
            retry_count: 3,
        });
        for same in ["860", "860.0", "8.6e2"] {
            assert_eq!(backoff(same), expected, "{same}");
        }
        for other in ["860.5", "-1", "-1.0", "1e300", "\"860\"", "null", "true"] {
            let error = backoff(other).unwrap_err();
            assert!(error.contains("expected a whole number"), "{other}: {error}");
        }
        for (days, expected) in [
            (r#","expires_in_days":90.0"#, Some(90)),
            (r#","expires_in_days":null"#, None),
            ("", None),
        ] {
            let json = format!(r#"{{"name":"a","scopes":["read"]{days}}}"#);
            let input: ApiTokenInput = serde_json::from_str(&json).unwrap();
            assert_eq!(input.expires_in_days, expected);
        }
    }
}
