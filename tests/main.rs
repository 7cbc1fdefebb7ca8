//! The whole program from outside: real clients, crashes, bad input.
//!
//! Every test starts its own server on a free loopback port with its own data directory, and stops it again.
#![allow(clippy::unwrap_used)]

mod access;
mod agents;
mod answers;
mod availability;
mod cdn;
mod channels;
mod checks;
mod cli;
mod clients;
mod crash;
mod dashboards;
mod databases;
mod dialogs;
mod directories;
mod disk_full;
mod documentation;
mod door;
mod durability;
mod figures;
mod forging;
mod forward;
mod fuzz;
mod grafana;
mod grammar;
mod heartbeats;
mod import;
mod layers;
mod levels;
mod line_protocol;
mod manual;
mod nginx;
mod night;
mod notices;
mod odd_clients;
mod odd_sites;
mod oracle;
mod parts;
mod prober;
mod promql;
mod protocols;
mod read_only;
mod readers;
mod ready;
mod rolled;
mod rollups;
mod rules;
mod server;
mod soak;
mod sql;
mod standing;
mod subset;
mod upkeep;
mod web;
