//! Names, connections and handshakes, each timed by itself. What is spoken over them is not known here.

pub(crate) mod crypto;
pub(crate) mod followed;
pub(crate) mod identity;
pub(crate) mod network;
pub(crate) mod ocsp;
pub(crate) mod verifier;
pub(crate) mod witness;
