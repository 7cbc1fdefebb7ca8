//! What questions are answered with: samples, and points at steps. Nothing here evaluates.

pub mod notation;
pub mod points;
pub mod samples;
pub mod steps;
