//! One certificate, from the account to the chain.

use std::path::Path;

use instant_acme::{Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::{crypto::ring, pki_types::PrivatePkcs8KeyDer, sign::CertifiedKey};

use super::{Acme, Client, IssueError};
use crate::tls::{Certificates, TlsError, private};

/// What a directory answers when it has forgotten an account.
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// The key and the chain that the directory issued, in PEM.
pub(super) async fn issue(acme: &Acme, certificates: &Certificates) -> Result<String, IssueError> {
    let identifiers: Vec<_> = acme.domains.iter().cloned().map(Identifier::Dns).collect();
    let request = NewOrder::new(&identifiers);
    let path = acme.account();
    let mut order = match account(acme, &path).await?.new_order(&request).await {
        Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(NO_ACCOUNT) => {
            tracing::warn!("the directory {} has forgotten the account in {}; making another", acme.directory, path.display());
            std::fs::remove_file(&path).map_err(|source| TlsError::Write { path: path.clone(), source })?;
            account(acme, &path).await?.new_order(&request).await?
        }
        order => order?,
    };
    prove(acme, &mut order, certificates).await?;
    match order.poll_ready(&RetryPolicy::default()).await {
        Ok(OrderStatus::Ready) => {}
        Ok(_) | Err(Error::Api(_)) => return Err(IssueError::Unproved(reasons(&mut order).await)),
        Err(error) => return Err(error.into()),
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&RetryPolicy::default()).await?;
    Ok(format!("{key}{chain}"))
}

/// The account of earlier runs, or a new one.
async fn account(acme: &Acme, path: &Path) -> Result<Account, IssueError> {
    let builder = Account::builder_with_http(Box::new(Client::new(acme)?));
    if let Some(bytes) = private::read(path)? {
        let content = |error: serde_json::Error| TlsError::Content {
            path: path.to_owned(),
            reason: format!("it is no ACME account ({error}). Delete the file to have a new one made"),
        };
        return Ok(builder.from_credentials(serde_json::from_slice(&bytes).map_err(content)?).await?);
    }
    let contact: Vec<&str> = acme.contacts.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder.create(&new, acme.directory.clone(), None).await?;
    private::write(path, &serde_json::to_vec(&credentials).map_err(Error::from)?)?;
    Ok(account)
}

/// Puts the answer to each domain's challenge in place, and tells the directory.
async fn prove(acme: &Acme, order: &mut Order, certificates: &Certificates) -> Result<(), IssueError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let domain = authorization.identifier().to_string();
        let offered = authorization.challenge(ChallengeType::TlsAlpn01);
        let mut challenge = offered.ok_or_else(|| IssueError::Unoffered(acme.directory.clone(), domain.clone()))?;
        let digest = challenge.key_authorization().digest();
        let pair = answer(&domain, digest.as_ref()).map_err(|error| TlsError::Make(error.to_string()))?;
        certificates.challenge(&domain.to_ascii_lowercase(), pair);
        challenge.set_ready().await?;
    }
    Ok(())
}

/// The certificate that answers a challenge (RFC 8737, 3): the domain, and the digest in a critical extension.
fn answer(domain: &str, digest: &[u8]) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new(vec![domain.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = ring::sign::any_supported_type(&PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
    // Not `from_der`, which reads the certificate to compare the keys: that extension is for nobody but the directory.
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

/// What the directory says about the domains that it could not check.
async fn reasons(order: &mut Order) -> String {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let _ = authorization.refresh().await;
        let details = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref()?.detail.clone());
        reasons.extend(details.collect::<Vec<_>>());
    }
    if reasons.is_empty() { "it does not say why".to_owned() } else { reasons.join("; ") }
}
