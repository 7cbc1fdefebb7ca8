//! `host`: a machine's cpu, load, memory, disks, network and processes.

use tsdb::FieldType::{F64, I64};

use crate::table::{Column, Table, Unit};

/// Rates and the cpu are means since the row before; disks are all file systems together, and the fullest.
pub const HOST: Table = Table {
    name: "host",
    tags: &["host"],
    fields: &[
        Column::new("cpu_percent", F64, Unit::Percent),
        Column::new("load1", F64, Unit::Count),
        Column::new("load5", F64, Unit::Count),
        Column::new("load15", F64, Unit::Count),
        Column::new("memory_used_bytes", I64, Unit::Bytes),
        Column::new("memory_total_bytes", I64, Unit::Bytes),
        Column::new("memory_percent", F64, Unit::Percent),
        Column::new("disk_used_bytes", I64, Unit::Bytes),
        Column::new("disk_total_bytes", I64, Unit::Bytes),
        Column::new("disk_fullest_percent", F64, Unit::Percent),
        Column::new("network_received_bytes_per_s", F64, Unit::BytesPerS),
        Column::new("network_sent_bytes_per_s", F64, Unit::BytesPerS),
        Column::count("processes"),
    ],
};
