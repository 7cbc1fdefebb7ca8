//! Random statements with joins, parameters, time zones and availability against DuckDB and a slow reckoning:
//! `tests/clients/fuzz.py` says what it does. Two minutes with a new seed in CI, some seconds elsewhere;
//! `FOURNINES_SQL_FUZZ_S` and `FOURNINES_SEED` say otherwise. A difference prints the statement.

use std::process::Command;

use crate::clients::python;
use crate::server::BIN;

#[test]
#[cfg_attr(not(part = "python-duckdb"), ignore = "there is no Python with duckdb and pyarrow (FOURNINES_PYTHON)")]
fn random_statements_are_answered_as_elsewhere() {
    let is_ci = std::env::var_os("CI").is_some();
    let seconds = std::env::var("FOURNINES_SQL_FUZZ_S").unwrap_or_else(|_| if is_ci { "120" } else { "10" }.into());
    let seed = std::env::var("FOURNINES_SEED").unwrap_or_else(|_| fastrand::u32(..).to_string());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/fuzz.py");
    let output = Command::new(python()).args([script, BIN, &seed, &seconds]).output().unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{failed}");
    eprintln!("{said}");
}
