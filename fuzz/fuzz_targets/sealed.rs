//! Tickets and handles: bytes that we did not seal never open, and what is under a seal of ours is a ticket or none. The
//! values in one are bytes that we wrote; `values.rs` tries those of others.
#![no_main]

use fuzz::House;
use gateway::ticket::{Content, Handle, Purpose, open};
use libfuzzer_sys::fuzz_target;

fn read<T: Purpose>(house: &House, bytes: &[u8]) -> Option<T> {
    assert!(
        open::<T>(house.seal(), house.principal(), bytes).is_err(),
        "somebody else's bytes are a {}",
        T::NAME
    );
    let sealed = house.seal().seal(T::NAME, bytes).expect("random bytes");
    let opened = open::<T>(house.seal(), house.principal(), &sealed);
    opened.ok().map(|opened| opened.content)
}

fuzz_target!(|bytes: &[u8]| {
    let house = House::open();
    drop(read::<Content>(house, bytes));
    drop(read::<Handle>(house, bytes));
});
