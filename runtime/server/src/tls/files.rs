//! A certificate from files, loaded again when these change.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::time::sleep;

use super::{Certificates, TlsError, pair, validity};

/// How often the files are looked at. They are read, not only their times: whoever swaps a link or copies with old times changes them as well, and they are small.
const LOOK: Duration = Duration::from_secs(2);
/// No certificate chain or key is longer.
const LARGEST: u64 = 1 << 20;

pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// What was loaded at the start.
    loaded: Contents,
}

/// Of the certificate's file and the key's.
#[derive(Clone, PartialEq, Eq)]
struct Contents(Vec<u8>, Vec<u8>);

impl Files {
    pub(super) fn load(certificate: PathBuf, key: PathBuf, into: &Certificates) -> Result<Self, TlsError> {
        let loaded = read(&certificate, &key)?;
        let files = Self { certificate, key, loaded };
        files.offer(&files.loaded, into)?;
        Ok(files)
    }

    pub(super) fn certificate(&self) -> &Path {
        &self.certificate
    }

    fn offer(&self, contents: &Contents, into: &Certificates) -> Result<(), TlsError> {
        let pair = pair::parse(&contents.0, &contents.1).map_err(|reason| {
            let path = if reason.contains("private key") { &self.key } else { &self.certificate };
            TlsError::Content { path: path.clone(), reason }
        })?;
        if pair.cert.first().and_then(|own| validity::of(own)).is_some_and(|(_, end)| end <= SystemTime::now()) {
            tracing::warn!("the certificate in {} has expired: clients will refuse it", self.certificate.display());
        }
        into.set(pair);
        Ok(())
    }

    pub(super) async fn watch(&self, into: &Certificates) {
        let (mut seen, mut before, mut unreadable) = (self.loaded.clone(), None, false);
        loop {
            sleep(LOOK).await;
            let (certificate, key) = (self.certificate.clone(), self.key.clone());
            let now = match tokio::task::spawn_blocking(move || read(&certificate, &key)).await {
                Ok(Ok(now)) => now,
                Ok(Err(error)) => {
                    // Said once; what is loaded still serves.
                    if !std::mem::replace(&mut unreadable, true) {
                        tracing::error!("kept the certificate that was loaded before: {error}");
                    }
                    continue;
                }
                Err(_) => continue,
            };
            unreadable = false;
            // Two files are not replaced at once: a change counts when it has lasted from one look to the next.
            if now != seen && before.replace(now.clone()).is_some_and(|before| before == now) {
                match self.offer(&now, into) {
                    Ok(()) => tracing::info!("loaded the new certificate in {}", self.certificate.display()),
                    Err(error) => tracing::error!("kept the certificate that was loaded before, for the new one is no good: {error}"),
                }
                (seen, before) = (now, None);
            }
        }
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Contents, TlsError> {
    let read = |path: &Path| {
        let mut bytes = Vec::new();
        let file = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        file.map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
        if bytes.len() as u64 > LARGEST {
            let reason = format!("it has more than {LARGEST} bytes, which no certificate and no key has");
            return Err(TlsError::Content { path: path.to_owned(), reason });
        }
        Ok(bytes)
    };
    Ok(Contents(read(certificate)?, read(key)?))
}
