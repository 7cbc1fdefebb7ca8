//! Looks which real parts the tests find on this machine, so that a test whose part is missing is ignored, with the
//! reason, and not passed. `tests/parts.rs` holds that none is missing in CI.
//!
//! And tells the linker to keep one of functions that are the same, as many of those made of generics are.

use std::path::PathBuf;
use std::process::Command;

/// Programs, by the names that tests need them under.
const PROGRAMS: [&str; 28] = [
    "nginx",
    "apache2",
    "varnishd",
    "traffic_server",
    "haproxy",
    "dnsmasq",
    "knotd",
    "tinyproxy",
    "pg_createcluster",
    "mariadbd",
    "redis-server",
    "prometheus",
    "prometheus-node-exporter",
    "prometheus-alertmanager",
    "vmagent",
    "vmalert",
    "influxd",
    "influx",
    "dropbear",
    "dovecot",
    "curl",
    "jq",
    "strace",
    "mounts",
    "namespaces",
    "root",
    "faketime",
    "chromium",
];
/// What Python has to have.
const PYTHON: [(&str, &str); 3] = [
    ("python-duckdb", "import duckdb, pyarrow.dataset"),
    ("python-servers", "import aiosmtpd, pyftpdlib, OpenSSL, websockets, grpc_health.v1"),
    (
        "python-clients",
        "import influxdb, influxdb_client, influxdb_client_3, prometheus_api_client, opentelemetry.sdk, questdb, opentelemetry.exporter.otlp.proto.grpc, pyarrow, cramjam, google.protobuf",
    ),
];

/// Where Rust brings its own linker, which can do it, and in optimised builds: a debugger shows one name for all of them.
fn fold_functions() {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|own| own == value);
    if is("TARGET", "x86_64-unknown-linux-gnu") && is("PROFILE", "release") {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}

fn main() {
    fold_functions();
    let all = PROGRAMS.iter().copied().chain(PYTHON.map(|(part, _)| part));
    let values: Vec<String> = all.map(|part| format!("\"{part}\"")).collect();
    println!("cargo::rustc-check-cfg=cfg(part, values({}))", values.join(", "));
    for variable in ["PATH", "FOURNINES_PYTHON"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    // What is installed later is found then.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).filter(|folder| folder.is_dir()).collect();
    for folder in &folders {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    let is_there = |part: &str| match part {
        // It has to be allowed, too.
        "strace" => succeeds("strace", &["-o", "/dev/null", "true"]),
        "mounts" => {
            succeeds("unshare", &["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        }
        // As a root that may give files away.
        "root" => succeeds("setpriv", &["--reuid=65534", "--clear-groups", "true"]),
        "namespaces" => succeeds("unshare", &["--net", "true"]),
        program => folders.iter().any(|folder| folder.join(program).is_file()),
    };
    let python = std::env::var("FOURNINES_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = PROGRAMS.into_iter().filter(|part| is_there(part));
    let of_python = PYTHON.into_iter().filter(|(_, imports)| succeeds(&python, &["-c", imports])).map(|(part, _)| part);
    for part in found.chain(of_python) {
        println!("cargo::rustc-cfg=part=\"{part}\"");
    }
}

fn succeeds(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}
