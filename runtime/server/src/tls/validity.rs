//! From when and until when a certificate is valid (RFC 5280, 4.1.2.5). Of all that is in one, nothing else is needed here.

use std::{path::Path, time::SystemTime};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use time::{Date, Month};

use super::{TlsError, private};

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When the first certificate in a PEM file expires.
///
/// # Errors
/// [`TlsError`] when there is none.
pub fn expiry(path: &Path) -> Result<SystemTime, TlsError> {
    let missing = || TlsError::Read { path: path.to_owned(), source: std::io::ErrorKind::NotFound.into() };
    let pem = private::read(path)?.ok_or_else(missing)?;
    let end = CertificateDer::from_pem_slice(&pem).ok().and_then(|certificate| of(&certificate)).map(|(_, end)| end);
    end.ok_or_else(|| TlsError::Content { path: path.to_owned(), reason: "there is no certificate in it: it must be PEM".to_owned() })
}

/// Its beginning and end; `None` for what is no certificate.
pub(super) fn of(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let mut outer = Der(certificate).expect(SEQUENCE)?;
    let mut body = outer.expect(SEQUENCE)?;
    if body.peek()? == VERSION {
        body.next()?;
    }
    body.expect(INTEGER)?;
    // The algorithm, and who issued it.
    body.expect(SEQUENCE)?;
    body.expect(SEQUENCE)?;
    let mut validity = body.expect(SEQUENCE)?;
    Some((instant(validity.next()?)?, instant(validity.next()?)?))
}

/// Elements of DER (X.690), one after another.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The tag and contents of the next.
    fn next(&mut self) -> Option<(u8, Der<'a>)> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f)).filter(|(digits, _)| (1..=4).contains(&digits.len()))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, Der(contents)))
    }

    fn expect(&mut self, tag: u8) -> Option<Der<'a>> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, contents)| contents)
    }
}

fn instant((tag, Der(text)): (u8, Der<'_>)) -> Option<SystemTime> {
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let two = |at: usize| Some(digits.get(at..at + 2)?.iter().fold(0, |number, digit| number * 10 + (digit - b'0')));
    let (year, at) = match (tag, digits.len()) {
        // Years of two digits are those from 1950 to 2049.
        (UTC_TIME, 12) => (i32::from(two(0)?) + if two(0)? < 50 { 2000 } else { 1900 }, 2),
        (GENERALIZED_TIME, 14) => (i32::from(two(0)?) * 100 + i32::from(two(2)?), 4),
        _ => return None,
    };
    let date = Date::from_calendar_date(year, Month::try_from(two(at)?).ok()?, two(at + 2)?).ok()?;
    Some(date.with_hms(two(at + 4)?, two(at + 6)?, two(at + 8)?).ok()?.assume_utc().into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn reads_what_certificates_say() {
        let key = KeyPair::generate().unwrap();
        let at = |(year, month, day): (i32, u8, u8)| date_time_ymd(year, month, day);
        for (start, end) in [((1999, 12, 31), (2049, 12, 31)), ((2050, 1, 1), (2150, 2, 28)), ((2024, 2, 29), (2026, 3, 1))] {
            let mut params = CertificateParams::new(vec!["chat.example".to_owned()]).unwrap();
            (params.not_before, params.not_after) = (at(start), at(end));
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(of(certificate.der()), Some((at(start).into(), at(end).into())));
            for length in 0..certificate.der().len().min(120) {
                assert_eq!(of(&certificate.der()[..length]), None, "cut at {length}");
            }
        }
    }

    #[test]
    fn nothing_breaks_it() {
        let mut params = CertificateParams::new(vec!["chat.example".to_owned()]).unwrap();
        params.not_after = (SystemTime::now() + Duration::from_secs(1000)).into();
        let good = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        for at in 0..good.der().len() {
            for value in [0, 0x30, 0x7f, 0x80, 0x81, 0x84, 0x88, 0xff] {
                let mut bad = good.der().to_vec();
                bad[at] = value;
                let _ = of(&bad);
            }
        }
    }
}
