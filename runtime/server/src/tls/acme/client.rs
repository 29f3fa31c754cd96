//! HTTP to a directory: a handful of requests every few weeks, which a blocking client on a thread of its own does well enough.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use super::Acme;
use crate::tls::{TlsError, private};

const TIMEOUT: Duration = Duration::from_secs(30);
/// No answer of a directory is longer.
const LARGEST: u64 = 1 << 20;

pub(super) struct Client(Agent);

impl Client {
    pub(super) fn new(acme: &Acme) -> Result<Self, TlsError> {
        let roots = match &acme.root {
            None => RootCerts::WebPki,
            Some(path) => {
                let missing = || TlsError::Read { path: path.clone(), source: std::io::ErrorKind::NotFound.into() };
                let pem = private::read(path)?.ok_or_else(missing)?;
                let roots = CertificateDer::pem_slice_iter(&pem).map(|root| root.map(|root| Certificate::from_der(&root).to_owned()));
                let roots = roots.collect::<Result<Vec<_>, _>>().ok().filter(|roots| !roots.is_empty());
                let reason = "there is no certificate in it: it must be the PEM of those that the directory is trusted by".to_owned();
                RootCerts::Specific(Arc::new(roots.ok_or_else(|| TlsError::Content { path: path.clone(), reason })?))
            }
        };
        let tls = TlsConfig::builder().root_certs(roots).build();
        let config = Agent::config_builder().tls_config(tls).https_only(true).http_status_as_error(false).timeout_global(Some(TIMEOUT));
        Ok(Self(config.build().into()))
    }
}

impl HttpClient for Client {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let agent = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let (uri, body) = (parts.uri.clone(), body.to_bytes());
            let answer = tokio::task::spawn_blocking(move || {
                let response = if body.is_empty() {
                    agent.run(Request::from_parts(parts, ()))?
                } else {
                    agent.run(Request::from_parts(parts, &body[..]))?
                };
                let (parts, mut body) = response.into_parts();
                let bytes = body.with_config().limit(LARGEST).read_to_vec()?;
                Ok::<_, ureq::Error>(Response::from_parts(parts, Full::new(Bytes::from(bytes))))
            });
            match answer.await {
                Ok(Ok(response)) => Ok(response.into()),
                Ok(Err(error)) => Err(Error::Other(format!("{uri}: {error}").into())),
                Err(error) => Err(Error::Other(error.into())),
            }
        })
    }
}
