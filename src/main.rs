//! fournines: measures whether services keep 99.99 %.
//!
//! This package is the binary: one file a command, the configuration, and the wiring between the crates that do the
//! work. It has no logic of its own.
#![deny(clippy::print_stdout, clippy::print_stderr)] // they panic where nothing can be printed: see `say`

/// A line on standard output.
macro_rules! outln {
    ($($text:tt)*) => { $crate::say::out(format_args!("{}\n", format_args!($($text)*))) };
}
/// A line on standard error.
macro_rules! errln {
    ($($text:tt)*) => { $crate::say::err(format_args!("{}\n", format_args!($($text)*))) };
}

mod accept_damage;
mod bench;
mod cdn;
mod config;
mod data_dir;
mod exclusion;
mod export;
mod forward;
mod heartbeat;
mod import;
mod log;
mod manual;
mod memory;
mod notify;
mod probe;
mod progress;
mod prompt;
mod promql;
mod rollup;
mod rules;
mod say;
mod scrape;
mod serve;
mod silence;
mod snapshot;
mod sql;
mod token;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures whether services keep 99.99 %: probes, a time-series store and SQL, in one binary.
#[derive(Debug, Parser)]
#[command(name = "fournines", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: take metrics, probe targets, answer SQL
    Serve(serve::Args),
    /// Ask a server, or a data directory, in SQL: a statement, or a prompt
    Sql(sql::Args),
    /// Ask a server in PromQL: a question at one time, or at many
    Promql(promql::Args),
    /// Probe a web address once and show how long each phase took
    Probe(probe::Args),
    /// Ask every edge of a CDN once, and compare what they give
    Cdn(cdn::Args),
    /// Verify every checksum of a data directory or snapshot
    Verify(verify::Args),
    /// Say that you know of lost rows: answers do not warn of them any more
    AcceptDamage(accept_damage::Args),
    /// Make a snapshot: a second data directory of hard links, while the server goes on
    Snapshot(snapshot::Args),
    /// Copy a snapshot, verified, to a new data directory
    Restore(snapshot::RestoreArgs),
    /// Read files into a server: line protocol, Prometheus text, JSON, CSV or Arrow
    Import(import::Args),
    /// Measure what a server bears
    Bench(bench::Args),
    /// Make, list and revoke the tokens that a server asks for
    Token(token::Args),
    /// Planned work: time that leaves availability, with who says so and why
    Maintenance(exclusion::MaintenanceArgs),
    /// Force majeure and the like: time that leaves availability, with who says so and why
    Exclusion(exclusion::ExclusionArgs),
    /// Silence alerts for a while, with who says so and why
    Silence(silence::Args),
    /// Buckets that are worked out ahead, so that queries over long spans need not read every row
    Rollup(rollup::Args),
    /// Check and test rule files
    Rules(rules::Args),
    /// Try the channels by which people are told
    Notify(notify::Args),
    /// Write the rows of a measurement to a file: Parquet, CSV or line protocol
    Export(export::Args),
    /// Print what a shell needs to complete commands
    Completions(manual::CompletionsArgs),
    /// Write the manual pages: one for each command
    Man(manual::ManArgs),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Sql(args) => sql::run(args),
        Command::Promql(args) => promql::run(args),
        Command::Probe(args) => probe::run(args),
        Command::Cdn(args) => cdn::run(args),
        Command::Verify(args) => verify::run(args),
        Command::AcceptDamage(args) => accept_damage::run(args),
        Command::Snapshot(args) => snapshot::run(args),
        Command::Restore(args) => snapshot::restore(args),
        Command::Import(args) => import::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Token(args) => token::run(args),
        Command::Maintenance(args) => exclusion::maintenance(args),
        Command::Exclusion(args) => exclusion::exclusion(args),
        Command::Silence(args) => silence::run(args),
        Command::Rollup(args) => rollup::run(args),
        Command::Rules(args) => rules::run(args),
        Command::Notify(args) => notify::run(args),
        Command::Export(args) => export::run(args),
        Command::Completions(args) => Ok(manual::completions(&args)),
        Command::Man(args) => manual::man(&args),
    };
    log::flush();
    say::end(outcome.unwrap_or_else(|error| {
        errln!("fournines: {error:#}");
        ExitCode::from(2)
    }))
}
