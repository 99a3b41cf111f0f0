//! A certificate authority of a test's own: certificates that are made when the test runs and trusted by nobody else.
//!
//! X.509 (RFC 5280) is written out in DER, as far as a server's certificate for this machine needs it.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

// Object identifiers, encoded.
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

// Tags of DER.
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const TEXT: u8 = 0x0c;
const TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// One that issues certificates.
#[derive(Debug)]
pub struct Authority {
    name: String,
    key: EcdsaKeyPair,
    certificate: Vec<u8>,
}

/// A server's certificate and its private key, both PEM.
#[derive(Debug)]
pub struct Issued {
    /// The certificate, for `localhost` and 127.0.0.1.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// A new one under `name`, with a key that nothing else has.
    pub fn new(name: &str) -> Self {
        let (key, _) = key_pair();
        // cA is true; the one usage is to sign certificates (bit 5).
        let basic = sequence(&[der(BOOLEAN, &[0xff])]);
        let usage = der(BITS, &[2, 0b0000_0100]);
        let extensions = [extension(BASIC_CONSTRAINTS, &basic), extension(KEY_USAGE, &usage)];
        let certificate = certificate((name, &key), (name, &key), &extensions);
        Self {
            name: name.to_owned(),
            key,
            certificate,
        }
    }

    /// The authority's own certificate, which its clients trust.
    pub fn certificate(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// The same as DER.
    pub fn certificate_der(&self) -> Vec<u8> {
        self.certificate.clone()
    }

    /// A certificate for a server on this machine.
    pub fn issue(&self) -> Issued {
        let (key, pkcs8) = key_pair();
        let names = sequence(&[der(0x82, b"localhost"), der(0x87, &[127, 0, 0, 1])]);
        let extensions = [extension(ALTERNATIVE_NAME, &names)];
        let certificate = certificate((&self.name, &self.key), ("localhost", &key), &extensions);
        Issued {
            certificate: pem("CERTIFICATE", &certificate),
            key: pem("PRIVATE KEY", &pkcs8),
        }
    }
}

impl Authority {
    /// A certificate for a client, whose one alternative name is this URI.
    pub fn issue_client(&self, uri: &str) -> Issued {
        let (key, pkcs8) = key_pair();
        let names = sequence(&[der(0x86, uri.as_bytes())]);
        let extensions = [extension(ALTERNATIVE_NAME, &names)];
        // The common name is one that must count for nothing.
        let certificate = certificate((&self.name, &self.key), ("admin", &key), &extensions);
        Issued {
            certificate: pem("CERTIFICATE", &certificate),
            key: pem("PRIVATE KEY", &pkcs8),
        }
    }
}

fn key_pair() -> (EcdsaKeyPair, Vec<u8>) {
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).expect("the key just made");
    (pair, document.as_ref().to_vec())
}

/// The certificate of `subject`, signed by `issuer`; good from 2025 to 2049.
fn certificate(
    issuer: (&str, &EcdsaKeyPair),
    subject: (&str, &EcdsaKeyPair),
    extensions: &[Vec<u8>],
) -> Vec<u8> {
    let algorithm = sequence(&[der(OBJECT, ECDSA_WITH_SHA256)]);
    let curve = sequence(&[der(OBJECT, EC_PUBLIC_KEY), der(OBJECT, P256)]);
    let mut serial = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut serial).expect("random bytes");
    // Positive, and no byte of it superfluous.
    serial[0] = serial[0] & 0x7f | 0x40;
    let body = sequence(&[
        der(0xa0, &der(INTEGER, &[2])),
        der(INTEGER, &serial),
        algorithm.clone(),
        distinguished(issuer.0),
        sequence(&[der(TIME, b"250101000000Z"), der(TIME, b"491231235959Z")]),
        distinguished(subject.0),
        sequence(&[curve, bits(subject.1.public_key().as_ref())]),
        der(0xa3, &sequence(extensions)),
    ]);
    let signature = issuer.1.sign(&SystemRandom::new(), &body).expect("a signature");
    sequence(&[body, algorithm, bits(signature.as_ref())])
}

/// A name with one part.
fn distinguished(name: &str) -> Vec<u8> {
    let part = sequence(&[der(OBJECT, COMMON_NAME), der(TEXT, name.as_bytes())]);
    sequence(&[der(SET, &part)])
}

fn extension(object: &[u8], value: &[u8]) -> Vec<u8> {
    let critical = der(BOOLEAN, &[0xff]);
    sequence(&[der(OBJECT, object), critical, der(OCTETS, value)])
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    der(SEQUENCE, &parts.concat())
}

/// Whole bytes as a bit string.
fn bits(bytes: &[u8]) -> Vec<u8> {
    der(BITS, &[&[0], bytes].concat())
}

/// Tag, length and content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes: Vec<u8> = length
                .to_be_bytes()
                .into_iter()
                .skip_while(|byte| *byte == 0)
                .collect();
            out.push(0x80 | u8::try_from(bytes.len()).expect("at most eight bytes"));
            out.extend(bytes);
        }
    }
    out.extend_from_slice(content);
    out
}

fn pem(label: &str, der: &[u8]) -> String {
    let encoded = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
