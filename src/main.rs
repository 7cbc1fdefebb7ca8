//! fournines
fn main() {}
