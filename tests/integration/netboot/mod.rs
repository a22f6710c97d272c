//! What a machine asks for when it boots over the network, asked of real servers.

mod bastion;
pub(crate) mod beside;
mod boots;
mod changing;
mod dhcp;
mod ipxe;
mod kills;
mod offers;
mod paired;
mod pictures;
mod proxy;
mod raw;
mod serve;
mod strangers;
mod tftp;
mod walk;

/// The head of a program for UEFI, for a machine by its number in PE headers.
pub(crate) fn program(machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x40;
    bytes[0x40..0x44].copy_from_slice(b"PE\0\0");
    bytes[0x44..0x46].copy_from_slice(&machine.to_le_bytes());
    bytes
}
