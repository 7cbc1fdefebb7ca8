//! What an answer of a certificate's issuer says that was stapled to it (OCSP, RFC 6960, section 4.2.1).
//!
//! Its signature is not checked: what it says of the certificate is told as it stands there.

use x509_parser::asn1_rs::{Any, Class, FromDer, GeneralizedTime, Tag};

/// What the issuer says of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stapled {
    pub status: Status,
    /// When the next answer will be there, in seconds since the epoch.
    pub next_update_s: Option<i64>,
}

/// Is the certificate still the issuer's?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Good,
    Revoked,
    Unknown,
}

impl Status {
    /// Its name in RFC 6960.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Status::Good => "good",
            Status::Revoked => "revoked",
            Status::Unknown => "unknown",
        }
    }
}

/// What an answer in DER says of the certificate with this serial number; nothing if it is no answer, or of other
/// certificates.
pub(crate) fn read(der: &[u8], serial: &[u8]) -> Option<Stapled> {
    let response = parts(Any::from_der(der).ok()?.1.data)?;
    let [status, bytes] = &response[..] else { return None };
    if status.data != [0] {
        return None; // the issuer could not answer
    }
    // Its type, which is always the basic one, and the answer packed in a string.
    let packed = parts(parts(bytes.data)?.first()?.data)?;
    let basic = parts(Any::from_der(packed.get(1)?.data).ok()?.1.data)?;
    let data = parts(basic.first()?.data)?;
    // Before the list stand a version, who answers, and when: none of them is a plain sequence.
    let answers =
        data.iter().find(|part| part.header.class() == Class::Universal && part.header.tag() == Tag::Sequence)?;
    parts(answers.data)?.iter().find_map(|one| single(one, serial))
}

/// One of its answers, if it is of this certificate.
fn single(answer: &Any<'_>, serial: &[u8]) -> Option<Stapled> {
    let parts_of_it = parts(answer.data)?;
    let [id, status, _this_update, rest @ ..] = &parts_of_it[..] else { return None };
    if parts(id.data)?.last()?.data != serial {
        return None;
    }
    let status = match status.header.tag().0 {
        0 => Status::Good,
        1 => Status::Revoked,
        _ => Status::Unknown,
    };
    let next = rest.iter().find(|part| part.header.class() == Class::ContextSpecific && part.header.tag().0 == 0);
    let next_update_s = next.and_then(|next| {
        let time = GeneralizedTime::from_der(next.data).ok()?.1.utc_datetime().ok()?;
        Some(time.unix_timestamp())
    });
    Some(Stapled { status, next_update_s })
}

/// The parts of a sequence.
fn parts(mut content: &[u8]) -> Option<Vec<Any<'_>>> {
    let mut all = Vec::new();
    while !content.is_empty() {
        let (rest, part) = Any::from_der(content).ok()?;
        all.push(part);
        content = rest;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let head = if length < 128 { vec![tag, length as u8] } else { vec![tag, 0x81, length as u8] };
        [head, content.to_vec()].concat()
    }

    /// An answer about two certificates, of which the second, with the serial number 7, has this status.
    fn response(status: u8) -> Vec<u8> {
        let single = |serial: u8, status: &[u8]| {
            let id = der(0x30, &[der(0x30, &[]), der(0x04, b"name"), der(0x04, b"key"), der(0x02, &[serial])].concat());
            let time = |year: &str| der(0x18, format!("{year}0101000000Z").as_bytes());
            der(0x30, &[id, status.to_vec(), time("2026"), der(0xa0, &time("2030"))].concat())
        };
        let status = if status == 0xa1 { der(status, &der(0x18, b"20250101000000Z")) } else { der(status, &[]) };
        let list = der(0x30, &[single(5, &der(0x80, &[])), single(7, &status)].concat());
        let data = der(0x30, &[der(0xa1, &der(0x30, &[])), der(0x18, b"20260101000000Z"), list].concat());
        let basic = der(0x30, &[data, der(0x30, &[]), der(0x03, &[0])].concat());
        let packed = der(0x30, &[der(0x06, &[0x2b]), der(0x04, &basic)].concat());
        der(0x30, &[der(0x0a, &[0]), der(0xa0, &packed)].concat())
    }

    #[test]
    fn the_answer_of_this_certificate_is_found() {
        let next_update_s = Some(1_893_456_000); // 2030-01-01
        for (tag, status) in [(0x80, Status::Good), (0xa1, Status::Revoked), (0x82, Status::Unknown)] {
            assert_eq!(read(&response(tag), &[7]), Some(Stapled { status, next_update_s }));
        }
        assert_eq!(read(&response(0xa1), &[5]).map(|answer| answer.status), Some(Status::Good));
        assert_eq!(read(&response(0x80), &[6]), None);
        assert_eq!(read(&[], &[7]), None);
    }

    #[test]
    fn what_is_damaged_is_no_answer_and_no_panic() {
        let whole = response(0x80);
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length], &[7]), None, "the first {length} bytes");
        }
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let _ = read(&damaged, &[7]);
        }
    }
}
