//! A certificate authority, what it issues, and clients that trust it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::common::SOON;

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "An authority for tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key in PEM, valid for localhost, 127.0.0.1 and chat.example.
    pub(crate) fn issue(&self) -> (String, String) {
        let names = ["localhost", "127.0.0.1", "chat.example"].map(str::to_owned).to_vec();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = (std::time::SystemTime::now() + Duration::from_secs(3600)).into();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A client of TLS that trusts `roots` (PEM), and offers `protocols` of HTTP.
pub(crate) fn client(roots: &str, versions: &[&'static SupportedProtocolVersion], protocols: &[&str]) -> TlsConnector {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
        store.add(root.unwrap()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config = builder.with_protocol_versions(versions).unwrap().with_root_certificates(store).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    // Each handshake is to be a whole one, with a certificate.
    config.resumption = rustls::client::Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

/// A client of the usual versions and of HTTP/1.1.
pub(crate) fn usual(roots: &str) -> TlsConnector {
    client(roots, rustls::ALL_VERSIONS, &["http/1.1"])
}

pub(crate) async fn connect(client: &TlsConnector, address: SocketAddr, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    timeout(SOON, client.connect(name, socket)).await.expect("a handshake ends")
}

/// The whole answer to a request on a connection that it ends, in lower case.
pub(crate) async fn get(stream: &mut TlsStream<TcpStream>, host: &str, path: &str) -> std::io::Result<String> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer)).await.expect("an answer ends")?;
    Ok(String::from_utf8(answer).unwrap().to_ascii_lowercase())
}
