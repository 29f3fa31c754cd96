//! Addresses on the Hugging Face hub, or on a mirror of it.

use std::env;

use anyhow::Context;
use url::Url;

use super::http::Remote;

const HUB: &str = "https://huggingface.co";

/// Where a repository's file lies, honouring `HF_ENDPOINT` and `HF_TOKEN`.
pub(super) fn remote(repo: &str, revision: &str, file: &str) -> anyhow::Result<Remote> {
    let set = |key: &str| env::var(key).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let endpoint = set("HF_ENDPOINT");
    let url = address(endpoint.as_deref().unwrap_or(HUB), repo, revision, file).with_context(|| match &endpoint {
        Some(endpoint) => format!("HF_ENDPOINT={endpoint} is not an address: it looks like {HUB}"),
        None => format!("{repo} is not a repository"),
    })?;
    let token = set("HF_TOKEN");
    let hint = if token.is_some() {
        "; HF_TOKEN does not open it: does the token's owner have access, and has he or she accepted the model's terms on its page?"
    } else {
        "; if it needs an account, set HF_TOKEN to a token that may read it"
    };
    Ok(Remote { url, token, hint })
}

fn address(endpoint: &str, repo: &str, revision: &str, file: &str) -> anyhow::Result<Url> {
    let mut url = Url::parse(endpoint)?;
    anyhow::ensure!(matches!(url.scheme(), "http" | "https"), "neither http nor https");
    url.path_segments_mut()
        .map_err(|()| anyhow::anyhow!("no address with a path"))?
        .pop_if_empty()
        .extend(repo.split('/'))
        .push("resolve")
        // One segment even with a slash in it: a branch may have one.
        .push(revision)
        .extend(file.split('/'));
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_are_the_hubs() {
        let at = |endpoint: &str| address(endpoint, "owner/name", "refs/pr/1", "a folder/x.gguf").map(String::from);
        assert_eq!(at("https://hub.test").unwrap(), "https://hub.test/owner/name/resolve/refs%2Fpr%2F1/a%20folder/x.gguf");
        assert_eq!(
            at("http://mirror.test:8080/hub/").unwrap(),
            "http://mirror.test:8080/hub/owner/name/resolve/refs%2Fpr%2F1/a%20folder/x.gguf"
        );
        assert!(at("hub.test").is_err() && at("ftp://hub.test").is_err());
    }
}
