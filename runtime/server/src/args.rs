//! The flags of the server, the same in every binary that has one.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use crate::{ExposureError, Network, Options, SocketOptions, Tls, TlsError, exposure, socket::parse_origin, tls::Acme};

/// Flags of TLS, limits and ends. To be flattened into a command; [`Self::options`] and [`Self::tls`] make of them what [`serve`](crate::serve) takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS, limits and proxies")]
pub struct ServerArgs {
    /// The server's certificate in PEM, followed by the chain that it was issued by. Loaded again when it changes
    #[arg(long, value_name = "FILE", env = "HEARTH_TLS_CERT", requires = "tls_key", conflicts_with_all = ["tls_self_signed", "acme_domain"])]
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate in PEM, without a passphrase
    #[arg(long, value_name = "FILE", env = "HEARTH_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// TLS for a trial, with a certificate that the server makes itself and whose fingerprint it prints: encrypted, but browsers warn of it
    #[arg(long, env = "HEARTH_TLS_SELF_SIGNED", conflicts_with = "acme_domain")]
    pub tls_self_signed: bool,
    /// Get a certificate for this name from an ACME directory, and renew it; can be repeated. Port 443 of the name must lead here. It means to agree to the directory's terms
    #[arg(long, value_name = "NAME", env = "HEARTH_ACME_DOMAIN", value_delimiter = ',')]
    pub acme_domain: Vec<String>,
    /// The ACME directory; by default Let's Encrypt's
    #[arg(long, value_name = "URL", env = "HEARTH_ACME_DIRECTORY", default_value = "https://acme-v02.api.letsencrypt.org/directory")]
    pub acme_directory: String,
    /// Where the directory may write to when something is wrong, as mailto:admin@chat.example; can be repeated
    #[arg(long, value_name = "URL", env = "HEARTH_ACME_CONTACT", value_delimiter = ',')]
    pub acme_contact: Vec<String>,
    /// Folder for the ACME account and its certificates; by default `acme` in the state folder
    #[arg(long, value_name = "FOLDER", env = "HEARTH_ACME_CACHE")]
    pub acme_cache: Option<PathBuf>,
    /// PEM of the certificates by which the ACME directory itself is trusted, for one of your own; by default those that browsers trust
    #[arg(long, value_name = "FILE", env = "HEARTH_ACME_ROOT")]
    pub acme_root: Option<PathBuf>,
    /// Listen where other machines can connect even without keys or TLS: behind a proxy that has both, or in a network that you trust
    #[arg(long, env = "HEARTH_ALLOW_EXPOSED")]
    pub allow_exposed: bool,
    /// A proxy in front, as an address or a network (10.0.0.0/8), whose X-Forwarded-For and X-Forwarded-Proto are believed; can be repeated. Nobody else's are
    #[arg(long, value_name = "CIDR", env = "HEARTH_TRUSTED_PROXY", value_delimiter = ',')]
    pub trusted_proxy: Vec<Network>,
    /// Requests a second that one address may send, of IPv6 one /64; further ones are answered 429. 0 is no limit
    #[arg(long, value_name = "N", env = "HEARTH_RATE_PER_ADDRESS", default_value_t = 1000)]
    pub rate_per_address: u32,
    /// Connections at once; when there are as many, those that idle longest make room, and further ones are answered 503. By default twice the requests that can be
    /// answered or wait, at least 1024
    #[arg(long, value_name = "N", env = "HEARTH_MAX_CONNECTIONS", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: Option<u32>,
    /// Connections of one address at once, in the same way; 0 is no limit. Trusted proxies have none
    #[arg(long, value_name = "N", env = "HEARTH_CONNECTIONS_PER_ADDRESS", default_value_t = 512)]
    pub connections_per_address: usize,
    /// The largest head of a request, in KiB, at least 8; larger ones are answered 431
    #[arg(long, value_name = "KIB", env = "HEARTH_MAX_HEADER", default_value_t = 64, value_parser = clap::value_parser!(u32).range(8..=65536))]
    pub max_header: u32,
    /// The largest body of a request, in MiB; larger ones are answered 413. What a route takes may be less
    #[arg(long, value_name = "MIB", env = "HEARTH_MAX_BODY", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub max_body: u64,
    /// Seconds that a client may keep the server waiting: for the head of a request, for its body, or for taking its answer. Each KiB that moves earns another one
    #[arg(long, value_name = "SECONDS", env = "HEARTH_CLIENT_TIMEOUT", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub client_timeout: u64,
    /// A page elsewhere that may open WebSockets here, as https://chat.example; can be repeated. Pages of the server's own address may in any case
    #[arg(long, value_name = "ORIGIN", env = "HEARTH_ALLOW_ORIGIN", value_delimiter = ',', value_parser = parse_origin)]
    pub allow_origin: Vec<String>,
    /// Seconds that answers under way may take after a signal to end
    #[arg(long, value_name = "SECONDS", env = "HEARTH_DRAIN", default_value_t = 30)]
    pub drain: u64,
}

impl ServerArgs {
    /// The bounds for a server that answers or keeps waiting as many as `requests` at once, without TLS.
    pub fn options(&self, requests: usize) -> Options {
        let client_timeout = Duration::from_secs(self.client_timeout);
        Options {
            requests,
            connections: self.max_connections.map_or_else(|| requests.saturating_mul(2).max(1024), |connections| connections as usize),
            connections_per_address: self.connections_per_address,
            rate_per_address: self.rate_per_address,
            trusted_proxies: self.trusted_proxy.clone(),
            header_timeout: client_timeout,
            header_bytes: self.max_header as usize * 1024,
            body_bytes: self.max_body << 20,
            body_timeout: client_timeout,
            write_timeout: client_timeout,
            drain: Duration::from_secs(self.drain),
            socket: SocketOptions { origins: self.allow_origin.clone(), ..SocketOptions::default() },
            ..Options::default()
        }
    }

    /// Whether TLS is asked for.
    pub fn wants_tls(&self) -> bool {
        self.tls_cert.is_some() || self.tls_self_signed || !self.acme_domain.is_empty()
    }

    /// Whether `address` may be listened on, see [`exposure`]; `keys` is whether the handler asks for them.
    ///
    /// # Errors
    /// [`ExposureError`]
    pub fn check_exposure(&self, address: SocketAddr, keys: bool) -> Result<(), ExposureError> {
        exposure(address, keys, self.wants_tls(), self.allow_exposed)
    }

    /// TLS for a listener at `address`, where it is asked for. `state` is the folder for what must outlive the server, which is only asked for where something is kept.
    ///
    /// # Errors
    /// [`TlsError`], or that of `state`.
    pub fn tls<E: From<TlsError>>(&self, address: SocketAddr, state: impl FnOnce() -> Result<PathBuf, E>) -> Result<Option<Tls>, E> {
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            return Ok(Some(Tls::files(certificate, key)?));
        }
        if self.tls_self_signed {
            return Ok(Some(Tls::self_signed(&state()?, address.ip())?));
        }
        if self.acme_domain.is_empty() {
            return Ok(None);
        }
        let cache = match &self.acme_cache {
            Some(folder) => folder.clone(),
            None => state()?.join("acme"),
        };
        Ok(Some(Tls::acme(Acme {
            domains: self.acme_domain.clone(),
            directory: self.acme_directory.clone(),
            contacts: self.acme_contact.clone(),
            cache,
            root: self.acme_root.as_deref().map(Path::to_owned),
        })?))
    }
}
