//! The rules that AWS has for buckets and keys.

use serde::{Deserialize, Serialize};

use crate::identifier::TextError;
use crate::limits::PREFIX_BYTES;

/// The name of an S3 bucket, by
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BucketName(String);

impl BucketName {
    /// # Errors
    /// A sentence that says which of AWS' rules it breaks.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let refuse = |sentence: &str| Err(TextError::new(sentence));
        if text.is_empty() {
            return refuse("A bucket name is needed.");
        }
        if text.starts_with("s3://") || text.starts_with("arn:") || text.contains('/') {
            return refuse("Enter the bucket's name alone, without s3://, arn: or a path.");
        }
        if !(3..=63).contains(&text.len()) {
            return refuse("A bucket name has 3 to 63 characters.");
        }
        if !text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'))
        {
            return refuse("A bucket name has only lower-case letters, digits, dots and hyphens.");
        }
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !edge(text.bytes().next()) || !edge(text.bytes().last()) {
            return refuse("A bucket name begins and ends with a letter or digit.");
        }
        if text.contains("..") {
            return refuse("A bucket name has no two dots side by side.");
        }
        if text.parse::<std::net::Ipv4Addr>().is_ok() {
            return refuse("A bucket name is not formatted as an IP address.");
        }
        if ["xn--", "sthree-", "amzn-s3-demo-"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            return refuse("A bucket name does not begin with xn--, sthree- or amzn-s3-demo-.");
        }
        if ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]
            .iter()
            .any(|suffix| text.ends_with(suffix))
        {
            return refuse("A bucket name does not end with -s3alias, --ol-s3, .mrap, --x-s3 or --table-s3.");
        }
        Ok(Self(text.to_owned()))
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BucketName {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, TextError> {
        Self::parse(&text)
    }
}
impl From<BucketName> for String {
    fn from(bucket: BucketName) -> Self {
        bucket.0
    }
}

/// What every key of a destination begins with: empty, or a path that ends in `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(String);

impl Prefix {
    /// # Errors
    /// A sentence that says what a prefix must be. Keys keep to the characters that AWS calls safe
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>) and to paths that stay where they are.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if !text.ends_with('/') {
            return Err(TextError::new("A prefix ends in /."));
        }
        if text.len() > PREFIX_BYTES {
            return Err(TextError::new(format!(
                "A prefix has at most {PREFIX_BYTES} characters."
            )));
        }
        if !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/!-_.*'()=".contains(&b))
        {
            return Err(TextError::new(
                "A prefix has only letters, digits and / ! - _ . * ' ( ) =",
            ));
        }
        if text.split_inclusive('/').any(|part| matches!(part, "/" | "./" | "../")) {
            return Err(TextError::new(
                "A prefix does not start with /, and has no empty, . or .. part.",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The prefix itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Prefix {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, TextError> {
        Self::parse(&text)
    }
}
impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules_of_aws() {
        for good in ["abc", "audit-logs.example.com", "0-1", &"b".repeat(63)] {
            assert!(BucketName::parse(good).is_ok(), "{good}");
        }
        let long = "b".repeat(64);
        for bad in [
            "",
            "ab",
            &long,
            "Audit",
            "a_b",
            "-abc",
            "abc-",
            "a..b",
            "192.168.5.4",
            "xn--abc",
            "sthree-abc",
            "abc-s3alias",
            "abc--ol-s3",
            "s3://abc",
            "abc/def",
            "arn:aws:s3:::abc",
            "bücket",
            "ab c",
        ] {
            assert!(BucketName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_is_empty_or_a_path_that_ends_in_a_slash() {
        for good in ["", "audit/", "siem/prod=1/"] {
            assert!(Prefix::parse(good).is_ok(), "{good}");
        }
        for bad in ["audit", "/", "/a/", "a//b/", "../", "a/./", "a b/", "ä/"] {
            assert!(Prefix::parse(bad).is_err(), "{bad}");
        }
    }
}
