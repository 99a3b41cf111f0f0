//! What the machine's loopback carries: bytes of one TCP stream between two threads, with nothing done to them. No server
//! can be faster, and a run beside another load shows it here first.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Instant;

use anyhow::{Result, anyhow};

/// Bytes of a second over one loopback stream, measured on two gibibytes.
///
/// # Errors
/// When the system refuses sockets.
pub fn loopback_bytes_per_second() -> Result<f64> {
    const TOTAL: usize = 2 << 30;
    const PIECE: usize = 1 << 20;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let writer = std::thread::spawn(move || -> Result<()> {
        let mut stream = TcpStream::connect(address)?;
        let piece = vec![7_u8; PIECE];
        for _ in 0..TOTAL / PIECE {
            stream.write_all(&piece)?;
        }
        Ok(())
    });
    let (mut stream, _) = listener.accept()?;
    let (mut piece, mut read) = (vec![0_u8; PIECE], 0_usize);
    let began = Instant::now();
    loop {
        match stream.read(&mut piece)? {
            0 => break,
            some => read += some,
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    writer.join().map_err(|_| anyhow!("the writer failed"))??;
    Ok(read as f64 / seconds)
}
