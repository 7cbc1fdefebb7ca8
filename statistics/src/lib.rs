//! What SQL and PromQL both reckon with, as Prometheus does it: each stands here once.
//!
//! | module | what |
//! | --- | --- |
//! | [`float`] | sums, means and quantiles of floats, and how they are written |
//! | [`growth`] | by how much a counter grew over a window |
//! | [`histogram`] | native histograms and their arithmetic |
//! | [`classic`] | histograms that are a series a bucket |

pub mod classic;
pub mod float;
pub mod growth;
pub mod histogram;
