//! web-probe
