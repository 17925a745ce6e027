//! A bucket as a source.

use std::io::{self, Read};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::ByteStream;
use bytes::{Buf as _, Bytes};
use tokio::runtime::Handle;

use super::source::Source;
use crate::aws::host_client;

/// Objects that are read at the same time, for each core: most of the time is spent waiting.
const READERS_PER_CORE: usize = 8;

/// A bucket, or the part of it under a prefix, with this host's identity. It blocks, and is used
/// from threads outside of the runtime.
#[derive(Debug)]
pub struct S3Source {
    client: Client,
    runtime: Handle,
    bucket: String,
    /// Empty, or with a final slash.
    prefix: String,
}

impl S3Source {
    /// Opens `s3://bucket/prefix`; `None` for another URL.
    pub async fn open(url: &str) -> Option<Self> {
        let (bucket, prefix) = match url.strip_prefix("s3://")?.split_once('/') {
            Some(parts) => parts,
            None => (url.strip_prefix("s3://")?, ""),
        };
        let prefix = prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}/")
        };
        (!bucket.is_empty()).then_some(())?;
        Some(Self {
            client: host_client().await,
            runtime: Handle::current(),
            bucket: bucket.to_owned(),
            prefix,
        })
    }

    async fn list_page(&self, after: Option<String>) -> io::Result<(Vec<String>, Option<String>)> {
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix);
        let page = request.set_continuation_token(after).send().await.map_err(failed)?;
        let next = page.next_continuation_token.clone();
        let keys = page.contents.unwrap_or_default().into_iter();
        Ok((keys.filter_map(|object| object.key).collect(), next))
    }

    fn relative<'k>(&self, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(&self.prefix).filter(|key| !key.is_empty())
    }
}

impl Source for S3Source {
    fn name(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }

    fn list(&self, each: &mut dyn FnMut(&str)) -> io::Result<()> {
        let mut after = None;
        loop {
            let (keys, next) = self.runtime.block_on(self.list_page(after))?;
            keys.iter().filter_map(|key| self.relative(key)).for_each(&mut *each);
            if next.is_none() {
                return Ok(());
            }
            after = next;
        }
    }

    fn open(&self, key: &str) -> io::Result<Option<Box<dyn Read + '_>>> {
        let key = format!("{}{key}", self.prefix);
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        match self.runtime.block_on(request.send()) {
            Ok(response) => Ok(Some(Box::new(Body {
                runtime: &self.runtime,
                stream: response.body,
                chunk: Bytes::new(),
            }))),
            Err(SdkError::ServiceError(error)) if matches!(error.err(), GetObjectError::NoSuchKey(_)) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn readers(&self) -> usize {
        READERS_PER_CORE * std::thread::available_parallelism().map_or(1, usize::from)
    }

    fn versions(&self, each: &mut dyn FnMut(&str, bool)) -> io::Result<bool> {
        let (mut key, mut version) = (None, None);
        loop {
            let request = self
                .client
                .list_object_versions()
                .bucket(&self.bucket)
                .prefix(&self.prefix);
            let request = request.set_key_marker(key).set_version_id_marker(version);
            let page = self.runtime.block_on(request.send()).map_err(failed)?;
            let stored = page.versions().iter().map(|version| (version.key(), false));
            let deleted = page.delete_markers().iter().map(|marker| (marker.key(), true));
            let mut all: Vec<_> = stored.chain(deleted).collect();
            all.sort();
            for (key, is_deletion) in all {
                if let Some(key) = key.and_then(|key| self.relative(key)) {
                    each(key, is_deletion);
                }
            }
            (key, version) = (page.next_key_marker, page.next_version_id_marker);
            if key.is_none() {
                return Ok(true);
            }
        }
    }
}

/// The body of an object.
struct Body<'s> {
    runtime: &'s Handle,
    stream: ByteStream,
    chunk: Bytes,
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.runtime.block_on(self.stream.next()) {
                Some(chunk) => self.chunk = chunk.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

fn failed(error: impl std::error::Error) -> io::Error {
    io::Error::other(DisplayErrorContext(error).to_string())
}
