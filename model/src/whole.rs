//! Whole numbers of JSON: to a schema 860.0 is one as 860 is.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// Beyond this not every whole number is one that a double has.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A whole number of JSON that fits into `T`.
struct Whole<T>(T);

impl<'de, T: TryFrom<i64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<T>(PhantomData<T>);
        impl<T: TryFrom<i64>> Visitor<'_> for Number<T> {
            type Value = Whole<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                let fits = T::try_from(number).map(Whole);
                fits.map_err(|_| E::invalid_value(Unexpected::Signed(number), &"a whole number within its limits"))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                let signed = i64::try_from(number).ok();
                let fits = signed.and_then(|number| T::try_from(number).ok());
                fits.map(Whole)
                    .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &"a whole number within its limits"))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                if number.fract() != 0.0 || number.abs() > EXACT {
                    return Err(E::invalid_value(Unexpected::Float(number), &self));
                }
                #[expect(clippy::cast_possible_truncation, reason = "whole, and exact in both")]
                self.visit_i64(number as i64)
            }
        }
        deserializer.deserialize_any(Number(PhantomData))
    }
}

/// For a field that is required.
pub fn number<'de, D: Deserializer<'de>, T: TryFrom<i64>>(field: D) -> Result<T, D::Error> {
    Whole::deserialize(field).map(|whole| whole.0)
}

/// For a field that may be left out, or null.
pub fn optional<'de, D: Deserializer<'de>, T: TryFrom<i64>>(field: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Whole<T>>::deserialize(field)?.map(|whole| whole.0))
}

#[cfg(test)]
mod tests {
    use crate::{ApiTokenInput, Backoff};

    #[test]
    fn a_zero_fraction_makes_no_difference_and_any_other_is_refused() {
        let wait = |text: &str| {
            let json = format!(r#"{{"fixed_backoff": {text}, "retry_count": 3.0, "type": "FIXED_DELAY"}}"#);
            serde_json::from_str::<Backoff>(&json).map_err(|error| error.to_string())
        };
        let whole = Ok(Backoff::FixedDelay {
            fixed_backoff: 860,
            retry_count: 3,
        });
        for same in ["860", "860.0", "8.6e2"] {
            assert_eq!(wait(same), whole, "{same}");
        }
        for other in ["860.5", "-1", "-1.0", "1e300", "\"860\"", "null", "true"] {
            let told = wait(other).unwrap_err();
            assert!(told.contains("expected a whole number"), "{other}: {told}");
        }
        for (days, meant) in [
            (r#","expires_in_days":90.0"#, Some(90)),
            (r#","expires_in_days":null"#, None),
            ("", None),
        ] {
            let json = format!(r#"{{"name":"a","scopes":["read"]{days}}}"#);
            let input: ApiTokenInput = serde_json::from_str(&json).unwrap();
            assert_eq!(input.expires_in_days, meant);
        }
    }
}
