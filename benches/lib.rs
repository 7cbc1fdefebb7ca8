//! Benchmarks of the house: see the `[[bench]]` files beside this one.
