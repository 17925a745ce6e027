//! AWS' rules for the names of buckets and the keys of objects.

use crate::limits::PREFIX_BYTES;
use crate::text::{TextError, text_type};

text_type! {
    /// The name of an S3 bucket, by
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>.
    BucketName
}

impl BucketName {
    /// Parses the name of a bucket.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let refuse = |message: &str| Err(TextError::new(message));
        if text.is_empty() {
            return refuse("A bucket name is required.");
        }
        if text.starts_with("s3://") || text.starts_with("arn:") || text.contains('/') {
            return refuse("Enter only the bucket's name, without s3://, arn: or a path.");
        }
        if !(3..=63).contains(&text.len()) {
            return refuse("A bucket name has 3 to 63 characters.");
        }
        if !text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'))
        {
            return refuse("A bucket name can contain only lower-case letters, digits, dots and hyphens.");
        }
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !edge(text.bytes().next()) || !edge(text.bytes().last()) {
            return refuse("A bucket name must begin and end with a letter or digit.");
        }
        if text.contains("..") {
            return refuse("A bucket name cannot contain two adjacent dots.");
        }
        if text.parse::<std::net::Ipv4Addr>().is_ok() {
            return refuse("A bucket name cannot look like an IP address.");
        }
        if ["xn--", "sthree-", "amzn-s3-demo-"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            return refuse("A bucket name cannot begin with xn--, sthree- or amzn-s3-demo-.");
        }
        if ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]
            .iter()
            .any(|suffix| text.ends_with(suffix))
        {
            return refuse("A bucket name cannot end with -s3alias, --ol-s3, .mrap, --x-s3 or --table-s3.");
        }
        Ok(Self(text.to_owned()))
    }
}

text_type! {
    /// The beginning of every key of a destination: empty, or a path that ends in `/`.
    #[derive(Default)]
    Prefix
}

impl Prefix {
    /// Parses a prefix: only the characters that AWS calls safe
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>), and no relative
    /// parts.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if !text.ends_with('/') {
            return Err(TextError::new("A prefix must end with /."));
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
                "A prefix can contain only letters, digits and / ! - _ . * ' ( ) =",
            ));
        }
        if text.split_inclusive('/').any(|part| matches!(part, "/" | "./" | "../")) {
            return Err(TextError::new(
                "A prefix cannot start with /, or contain an empty, . or .. part.",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules_of_aws() {
        for valid in ["abc", "audit-logs.example.com", "0-1", &"b".repeat(63)] {
            assert!(BucketName::parse(valid).is_ok(), "{valid}");
        }
        let long = "b".repeat(64);
        for invalid in [
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
            assert!(BucketName::parse(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_prefix_is_empty_or_a_path_that_ends_in_a_slash() {
        for valid in ["", "audit/", "siem/prod=1/"] {
            assert!(Prefix::parse(valid).is_ok(), "{valid}");
        }
        for invalid in ["audit", "/", "/a/", "a//b/", "../", "a/./", "a b/", "ä/"] {
            assert!(Prefix::parse(invalid).is_err(), "{invalid}");
        }
    }
}
