//! `cdn`: what the edges of a target come to together, a row a slot; and what rows of `probe` about one edge have
//! besides.

use tsdb::FieldType;

use crate::table::{Column, Table, Unit};

/// What all edges come to.
pub const CDN: Table = Table {
    name: "cdn",
    tags: &["target", "kind", "group", "location"],
    fields: &[
        Column::count("edge_count"),
        Column::count("up_count"),
        Column::count("hit_count"),
        Column::count("content_count"),
        Column::count("certificate_count"),
        Column::text("edges_added"),
        Column::text("edges_gone"),
        Column::count("dns_failures"),
        Column::text("dns_message"),
        Column::new("origin_status", FieldType::I64, Unit::None),
        Column::ms("origin_wait_ms"),
        Column::ms("origin_total_ms"),
        Column::text("origin_sha256"),
        Column::text("origin_error"),
        Column::text("origin_message"),
    ],
};

/// What a row of `probe` says of one edge.
pub const EDGE_FIELDS: &[Column] = &[
    Column::text("cache"),
    Column::text("vendor"),
    Column::text("pop"),
    Column::new("age_s", FieldType::I64, Unit::S),
    Column::new("ttl_s", FieldType::I64, Unit::S),
    Column::text("protocol"),
    Column::text("cert_sha256"),
    Column::text("content_sha256"),
    Column::text("validator"),
    Column::text("cache_headers"),
    Column::text("freshness"),
    Column::text("mark"),
    Column::truth("content_agrees"),
    Column::truth("cert_agrees"),
    Column::truth("validator_agrees"),
];
