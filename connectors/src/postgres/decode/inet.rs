//! Network addresses as the server prints them.

use super::{Bad, end, take};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The server's number for IPv4; IPv6 is the next.
const IPV4: u8 = 2;
const IPV6: u8 = 3;

/// Appends an `inet` or a `cidr`: the width of the network only where it is not that of one host, and always for a
/// `cidr`.
pub(super) fn address(mut raw: &[u8], text: &mut String) -> Result<(), Bad> {
    let [family, bits, is_cidr, length] = take(&mut raw)?;
    let width = match (family, length) {
        (IPV4, 4) => {
            print(text, Ipv4Addr::from(take::<4>(&mut raw)?));
            32
        }
        (IPV6, 16) => {
            let address = Ipv6Addr::from(take::<16>(&mut raw)?);
            match address.segments() {
                // The server writes the last four bytes of these as IPv4, which Rust does not.
                [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
                    text.push_str("::");
                    let [a, b] = high.to_be_bytes();
                    let [c, d] = low.to_be_bytes();
                    print(text, Ipv4Addr::new(a, b, c, d));
                }
                _ => print(text, address),
            }
            128
        }
        _ => return Err(Bad::Shape("an address of an unknown family")),
    };
    end(raw)?;
    if is_cidr != 0 || bits != width {
        print(text, format_args!("/{bits}"));
    }
    Ok(())
}

/// Appends a MAC address.
pub(super) fn mac(raw: &[u8], text: &mut String) -> Result<(), Bad> {
    if raw.len() != 6 && raw.len() != 8 {
        return Err(Bad::Shape("a MAC address of neither 6 nor 8 bytes"));
    }
    for (place, byte) in raw.iter().enumerate() {
        let colon = if place == 0 { "" } else { ":" };
        print(text, format_args!("{colon}{byte:02x}"));
    }
    Ok(())
}

/// Appends a `uuid` with its hyphens.
pub(super) fn uuid(raw: &[u8], text: &mut String) -> Result<(), Bad> {
    let uuid = uuid::Uuid::from_bytes(super::fixed(raw)?);
    print(text, uuid.as_hyphenated());
    Ok(())
}

/// Writing into a String cannot fail.
fn print(text: &mut String, what: impl std::fmt::Display) {
    write!(text, "{what}").ok();
}
