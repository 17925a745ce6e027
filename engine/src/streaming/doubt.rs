//! Where the object of a batch may be although no attempt was confirmed.

use sqlx::FromRow;

use crate::aws::AwsProfile;

#[derive(Debug, FromRow)]
pub(super) struct Doubt {
    /// Whether the object may exist at `place`, because the response of an attempt was lost.
    in_doubt: i64,
    /// Where the last attempt wrote.
    place: Option<String>,
    /// The places of earlier attempts at which the object may exist: the destination or its
    /// connector was edited after them. One a line.
    may_be_at: Option<String>,
}

impl Doubt {
    /// Nothing was sent yet; the first attempt is to write to `place`, if there is one.
    pub(super) fn new(place: Option<String>) -> Self {
        Self {
            in_doubt: 0,
            place,
            may_be_at: None,
        }
    }

    pub(super) fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    pub(super) fn is_here(&self) -> bool {
        self.in_doubt != 0
    }

    pub(super) fn mark(&mut self, in_doubt: bool) {
        self.in_doubt |= i64::from(in_doubt);
    }

    /// Moves to the place of the next attempt, and returns the other places at which the object may
    /// be; `None` if there are none.
    pub(super) fn move_to(&mut self, place: &str) -> Option<&str> {
        let others = self.may_be_at.take().unwrap_or_default();
        let mut others: Vec<&str> = others.lines().collect();
        let old = self.place.replace(place.to_owned());
        if let Some(old) = old.as_deref().filter(|old| *old != place) {
            if self.in_doubt != 0 && !others.contains(&old) {
                others.push(old);
            }
            self.in_doubt = i64::from(others.contains(&place));
        }
        others.retain(|other| *other != place);
        self.may_be_at = (!others.is_empty()).then(|| others.join("\n"));
        self.may_be_at.as_deref()
    }
}

/// Returns the address of an object, for people.
pub(super) fn place(profile: &AwsProfile, bucket: &str, key: &str) -> String {
    match &profile.endpoint {
        None => format!("s3://{bucket}/{key}"),
        Some(endpoint) => format!("{endpoint}/{bucket}/{key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_doubt_is_remembered_until_it_is_tried_again() {
        let mut doubt = Doubt::new(None);
        assert_eq!(doubt.move_to("a"), None);
        doubt.mark(true);
        assert_eq!(doubt.move_to("b"), Some("a"));
        assert!(!doubt.is_here(), "nothing was sent to b yet");
        assert_eq!(doubt.move_to("c"), Some("a"), "nothing is in doubt at b");
        doubt.mark(true);
        assert_eq!(doubt.move_to("d"), Some("a\nc"));
        assert_eq!(doubt.move_to("a"), Some("c"));
        assert!(doubt.is_here(), "an earlier attempt may have stored it at a");
    }
}
