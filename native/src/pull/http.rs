//! Files over HTTP: redirects, going on where an earlier pull or a cut connection ended, and a token that one host alone gets to see.

use std::{path::Path, thread, time::Duration};

use anyhow::{Context, anyhow};
use ureq::{
    Agent, Body,
    http::{
        HeaderMap, Response, StatusCode,
        header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, HeaderName, LOCATION, RANGE, RETRY_AFTER},
    },
};
use url::Url;

use super::{
    Expected,
    partial::{Partial, Stopped},
    space,
};
use crate::{progress::Progress, text};

const REDIRECTS: usize = 10;
/// Failures in a row without a new byte before a pull gives up.
const TRIES: u32 = 5;
/// The pause after the first failure; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A connection without a byte for this long counts as cut.
const SILENCE: Duration = Duration::from_secs(60);

/// A file at an address.
pub(super) struct Remote {
    pub(super) url: Url,
    /// Sent as a bearer to the host of `url` and to no other.
    pub(super) token: Option<String>,
    /// What to say when the access is denied.
    pub(super) hint: &'static str,
}

impl Remote {
    /// An address that the user gave.
    pub(super) fn of(url: &str) -> anyhow::Result<Self> {
        Ok(Self { url: Url::parse(url).with_context(|| format!("{} is not an address", shown(url)))?, token: None, hint: "" })
    }
}

/// An address without what may be secret in it: password and query.
pub(super) fn shown(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => show(&url),
        Err(_) => url.split(['?', '@']).next().unwrap_or_default().to_owned(),
    }
}

fn show(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// Why an attempt failed.
enum Failure {
    /// Another attempt may succeed, after a pause that the server may have asked for.
    Passing(anyhow::Error, Option<Duration>),
    /// It will not.
    Final(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Final(error)
    }
}

/// Fetches `remote` into `part`, going on with what lies there. What came is kept when it fails, for the next time; its hash is the caller's to check.
pub(super) fn fetch(remote: &Remote, part: &Path, expected: Expected<'_>, what: &str) -> anyhow::Result<Partial> {
    let agent = agent();
    let mut partial = Partial::resume(part.to_owned())?;
    if expected.size.is_some_and(|size| partial.len() > size) {
        partial.restart()?;
    }
    if partial.resumed() > 0 {
        eprintln!("going on after {}", text::bytes(partial.resumed()));
    }
    let mut failures = 0;
    loop {
        let before = partial.len();
        match attempt(&agent, remote, &mut partial, expected, what, part) {
            // What an earlier pull left may have been of another file.
            Ok(()) if partial.resumed() > 0 && partial.sha256() != expected.sha256 => {
                eprintln!("the hash does not fit; beginning again without what an earlier pull had left");
                partial.restart()?;
            }
            Ok(()) => return Ok(partial),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Passing(error, pause)) => {
                failures = if partial.len() > before { 1 } else { failures + 1 };
                if failures >= TRIES {
                    let kept = text::bytes(partial.len());
                    return Err(
                        error.context(format!("gave up after {TRIES} tries ({kept} are kept; the same command goes on from there)"))
                    );
                }
                let pause = pause.unwrap_or(PAUSE * 2u32.pow(failures - 1)).min(LONGEST_PAUSE);
                eprintln!("{error:#}; trying again in {:.1} s", pause.as_secs_f32());
                thread::sleep(pause);
            }
        }
    }
}

fn agent() -> Agent {
    Agent::config_builder()
        .user_agent(concat!("hearth/", env!("CARGO_PKG_VERSION")))
        // Redirects are followed here, where it is known who may see the token.
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .build()
        .into()
}

/// One request, and its body appended to `partial`.
fn attempt(agent: &Agent, remote: &Remote, partial: &mut Partial, expected: Expected<'_>, what: &str, part: &Path) -> Result<(), Failure> {
    if expected.size.is_some_and(|size| partial.len() == size) && partial.len() > 0 {
        return Ok(());
    }
    let response = open(agent, remote, partial.len())?;
    let headers = response.headers();
    let total = match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            let range = content_range(headers);
            match range {
                Some((Some(start), total)) if start == partial.len() => total,
                _ => {
                    partial.restart()?;
                    return Err(Failure::Passing(anyhow!("the server sent another range than was asked for"), None));
                }
            }
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            // There is nothing after what is here: it is whole, or it is of another file.
            if content_range(headers).and_then(|(_, total)| total) == Some(partial.len()) {
                return Ok(());
            }
            partial.restart()?;
            return Err(Failure::Passing(anyhow!("the server has no bytes after those that an earlier pull left"), None));
        }
        StatusCode::OK => {
            if partial.len() > 0 {
                eprintln!("the server does not send parts: beginning again");
                partial.restart()?;
            }
            header(headers, &CONTENT_LENGTH)
        }
        status => return Err(refused(status, headers, remote)),
    };
    if let (Some(total), Some(size)) = (total, expected.size)
        && total != size
    {
        return Err(Failure::Final(anyhow!("the file there has {total} bytes, but {size} are expected")));
    }
    let size = total.or(expected.size);
    if let Some(size) = size {
        space::check(part, size - partial.len())?;
    }
    let mut bar = Progress::new(&format!("pulling {what}"), size);
    let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
    let appended = partial.append(&mut body, size, &mut |done| bar.set(done));
    drop(bar);
    match (appended, size) {
        (Err(Stopped::Reading(error)), _) => Err(Failure::Passing(anyhow::Error::new(error).context("the connection was cut"), None)),
        (Err(Stopped::Writing(error)), _) => Err(Failure::Final(error)),
        (Ok(()), Some(size)) if partial.len() < size => {
            Err(Failure::Passing(anyhow!("the connection was cut after {} of {size} bytes", partial.len()), None))
        }
        (Ok(()), _) => Ok(()),
    }
}

/// Asks for the bytes from `offset` on, through all redirects.
fn open(agent: &Agent, remote: &Remote, offset: u64) -> Result<Response<Body>, Failure> {
    let mut url = remote.url.clone();
    for _ in 0..=REDIRECTS {
        let mut request = agent.get(url.as_str());
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        if let Some(token) = &remote.token
            && url.origin() == remote.url.origin()
        {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = request.call().map_err(|error| failed(error, &url))?;
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(response);
        }
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let location = location.ok_or_else(|| anyhow!("{} redirects to nowhere", show(&url)))?;
        let next = url.join(location).with_context(|| format!("{} redirects to what is no address", show(&url)))?;
        if !matches!(next.scheme(), "http" | "https") || (url.scheme() == "https" && next.scheme() == "http") {
            return Err(Failure::Final(anyhow!("{} redirects to {}, which is not safe to follow", show(&url), show(&next))));
        }
        url = next;
    }
    Err(Failure::Final(anyhow!("{} redirects more than {REDIRECTS} times", show(&remote.url))))
}

fn failed(error: ureq::Error, url: &Url) -> Failure {
    use ureq::Error as E;
    let passing = matches!(error, E::Io(_) | E::Timeout(_) | E::ConnectionFailed | E::HostNotFound | E::Protocol(_));
    let host = url.host_str().unwrap_or_default().to_owned();
    let error = anyhow::Error::new(error).context(format!("cannot reach {host}"));
    if passing { Failure::Passing(error, None) } else { Failure::Final(error) }
}

fn refused(status: StatusCode, headers: &HeaderMap, remote: &Remote) -> Failure {
    let url = show(&remote.url);
    let error = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => anyhow!("access to {url} is denied ({status}){}", remote.hint),
        StatusCode::NOT_FOUND => anyhow!("there is nothing at {url} ({status})"),
        _ => anyhow!("{url} answers {status}"),
    };
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT {
        return Failure::Passing(error, header(headers, &RETRY_AFTER).map(Duration::from_secs));
    }
    Failure::Final(error)
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// First byte and total of a `Content-Range`: `bytes 5-9/10`, `bytes */10`, `bytes 5-9/*`.
fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
    Some((start, total.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets() {
        assert_eq!(shown("https://user:password@host.test/x.gguf?signature=secret#part"), "https://host.test/x.gguf");
        assert_eq!(shown("no address?secret"), "no address");
    }

    #[test]
    fn content_ranges_are_read() {
        let range = |text: &str| content_range(&HeaderMap::from_iter([(CONTENT_RANGE, text.parse().unwrap())]));
        assert_eq!(range("bytes 5-9/10"), Some((Some(5), Some(10))));
        assert_eq!(range("bytes */10"), Some((None, Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((Some(5), None)));
        assert_eq!(range("lines 5-9/10"), None);
    }
}
