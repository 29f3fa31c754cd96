//! A bucket of an S3-compatible service as a place for backups.

use std::{thread, time::Duration};

use anyhow::Context as _;
use hearth_store::backup::{BackupError, Shelf};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle, actions::ListObjectsV2};
use ureq::{Agent, Body, http::Response};
use url::Url;

/// How long the signature of a request holds.
const SIGNED: Duration = Duration::from_secs(5 * 60);
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How often a request is made that fails for a reason that may pass, and the pause after the first time.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);
/// Bytes of an answer that is no object at most: a listing has 1000 names.
const ANSWER_MAX: u64 = 4 << 20;

pub(super) struct S3 {
    bucket: Bucket,
    /// What all names begin with; empty, or with a slash at its end.
    prefix: String,
    credentials: Credentials,
    agent: Agent,
}

impl S3 {
    /// `address` is `BUCKET[/PREFIX]`.
    pub(super) fn open(address: &str, endpoint: Option<&str>) -> anyhow::Result<Self> {
        let (name, prefix) = address.split_once('/').unwrap_or((address, ""));
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).unwrap_or_else(|| "us-east-1".to_owned());
        // Only Amazon itself is sure to have a host name for each bucket.
        let (endpoint, style) = match endpoint {
            Some(endpoint) => (endpoint.to_owned(), UrlStyle::Path),
            None => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
        };
        let endpoint = Url::parse(&endpoint).with_context(|| format!("--endpoint {endpoint} is no address"))?;
        let bucket = Bucket::new(endpoint, style, name.to_owned(), region).with_context(|| format!("s3://{address} names no bucket"))?;
        let credentials = Credentials::from_env()
            .context("the credentials for S3 are not in the environment: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")?;
        let agent = Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build().new_agent();
        Ok(Self { bucket, prefix, credentials, agent })
    }

    fn failed(&self, reason: impl Into<String>) -> BackupError {
        BackupError::Shelf { place: self.place(), reason: reason.into() }
    }

    /// Asks until there is an answer that is no passing failure. Neither the address, which is signed, nor the credentials are in an error.
    fn ask(&self, what: &str, mut request: impl FnMut() -> Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, BackupError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let reason = match request() {
                Ok(response) if response.status().is_server_error() || response.status() == 429 => {
                    format!("it answered {}", response.status())
                }
                Ok(response) => return Ok(response),
                Err(ureq::Error::BadUri(_)) => "its address is not one".to_owned(),
                Err(error) => error.to_string(),
            };
            if tries == TRIES {
                return Err(self.failed(format!("{what} failed {TRIES} times: {reason}")));
            }
            thread::sleep(PAUSE * 2u32.pow(tries - 1));
        }
    }

    /// An answer that is not the wished one, with what S3 calls it.
    fn refused(&self, what: &str, mut response: Response<Body>) -> BackupError {
        let status = response.status();
        let body = response.body_mut().with_config().limit(64 << 10).read_to_string().unwrap_or_default();
        let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
        let cure = match status.as_u16() {
            401 | 403 => ": look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do",
            404 => ": is there such a bucket?",
            301 | 307 | 400 => ": does AWS_REGION fit the bucket?",
            _ => "",
        };
        self.failed(format!("{what} was answered {status} {code}{cure}"))
    }
}

impl Shelf for S3 {
    fn place(&self) -> String {
        format!("s3://{}/{}", self.bucket.name(), self.prefix)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let object = format!("{}{name}", self.prefix);
        let what = format!("writing {name}");
        let response = self.ask(&what, || {
            let url = self.bucket.put_object(Some(&self.credentials), &object).sign(SIGNED);
            self.agent.put(url.as_str()).content_type("application/octet-stream").send(bytes)
        })?;
        if response.status().is_success() { Ok(()) } else { Err(self.refused(&what, response)) }
    }

    fn get(&self, name: &str, longest: usize) -> Result<Option<Vec<u8>>, BackupError> {
        let object = format!("{}{name}", self.prefix);
        let what = format!("reading {name}");
        let mut response = self.ask(&what, || {
            let url = self.bucket.get_object(Some(&self.credentials), &object).sign(SIGNED);
            self.agent.get(url.as_str()).call()
        })?;
        if response.status() == 404 {
            return Ok(None);
        }
        if !response.status().is_success() {
            return Err(self.refused(&what, response));
        }
        let read = response.body_mut().with_config().limit(longest as u64 + 1).read_to_vec();
        read.map(Some).map_err(|error| self.failed(format!("{what}: {error}")))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, BackupError> {
        let (mut names, mut token) = (Vec::new(), None::<String>);
        loop {
            let what = format!("listing {folder}");
            let mut response = self.ask(&what, || {
                let mut list = self.bucket.list_objects_v2(Some(&self.credentials));
                list.with_prefix(format!("{}{folder}/", self.prefix));
                if let Some(token) = &token {
                    list.with_continuation_token(token.clone());
                }
                self.agent.get(list.sign(SIGNED).as_str()).call()
            })?;
            if !response.status().is_success() {
                return Err(self.refused(&what, response));
            }
            let text = response.body_mut().with_config().limit(ANSWER_MAX).read_to_string();
            let text = text.map_err(|error| self.failed(format!("{what}: {error}")))?;
            let page =
                ListObjectsV2::parse_response(&text).map_err(|error| self.failed(format!("{what}: the answer is no listing ({error})")))?;
            names.extend(page.contents.into_iter().filter_map(|object| Some(object.key.strip_prefix(&self.prefix)?.to_owned())));
            match page.next_continuation_token {
                // One that stays the same would never end.
                Some(next) if token.as_ref() != Some(&next) => token = Some(next),
                _ => return Ok(names),
            }
        }
    }

    fn delete(&self, name: &str) -> Result<(), BackupError> {
        let object = format!("{}{name}", self.prefix);
        let what = format!("removing {name}");
        let response = self.ask(&what, || {
            let url = self.bucket.delete_object(Some(&self.credentials), &object).sign(SIGNED);
            self.agent.delete(url.as_str()).call()
        })?;
        if response.status().is_success() || response.status() == 404 { Ok(()) } else { Err(self.refused(&what, response)) }
    }
}
