//! Every kind of check, a file each, and their list. Slots, rows and targets are not known here.

mod addresses;
pub(crate) mod cdn;
pub(crate) mod database;
pub(crate) mod dialog;
pub(crate) mod dns;
pub(crate) mod domain;
pub(crate) mod families;
pub(crate) mod grpc;
pub(crate) mod heartbeat;
pub(crate) mod host;
pub(crate) mod http;
pub(crate) mod icmp;
pub(crate) mod links;
pub(crate) mod list;
pub(crate) mod mysql;
pub(crate) mod postgres;
pub(crate) mod redis;
mod robots;
pub(crate) mod scrape;
mod sought;
pub(crate) mod steps;
pub(crate) mod tcp;
pub(crate) mod tls;
pub(crate) mod udp;
pub(crate) mod web;
pub(crate) mod websocket;
