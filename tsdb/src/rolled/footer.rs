//! Footers of rolled days: what Parquet and we need to read them. Parsed when they are needed, and kept up to a limit:
//! that of a million series has megabytes.

use std::sync::Arc;

use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use xxhash_rust::xxh3::xxh3_64;

use crate::base::ids::RolledId;
use crate::rolled::file::{METADATA_KEY, Metadata};

/// The footer of a rolled day.
#[derive(Debug)]
pub(crate) struct Footer {
    pub parquet: ArrowReaderMetadata,
    /// Of each row group where it ends in the file and the XXH3-64 of its bytes.
    pub groups: Vec<(u64, u64)>,
    /// Which rows are of which series, in the order of the rows.
    pub series: Vec<(u32, u32)>,
    /// Of each row group the first run that has rows in it, and how many of that are in the group before.
    starts: Vec<(usize, u32)>,
    /// The schema and name of its table.
    pub table: (String, String),
    /// The table's number, if the file says it.
    pub number: Option<u32>,
    /// The numbers of its fields, and where their columns are.
    pub fields: Vec<(u32, usize)>,
}

impl Footer {
    /// The footer of a file, unless its checksum differs: the parser may panic on damaged bytes.
    pub(crate) fn checked(bytes: &Bytes, id: RolledId) -> Result<Footer, String> {
        match bytes.get(id.tail_at as usize..).map(xxh3_64) == Some(id.tail_checksum) {
            true => Footer::parse(bytes),
            false => Err("the checksum of the footer differs".into()),
        }
    }

    /// The footer of a file. May panic on damaged bytes.
    pub(crate) fn parse(bytes: &Bytes) -> Result<Footer, String> {
        let options = ArrowReaderOptions::new()
            .with_offset_index_policy(PageIndexPolicy::Optional)
            .with_column_index_policy(PageIndexPolicy::Skip);
        let parquet = ArrowReaderMetadata::load(bytes, options).map_err(|error| error.to_string())?;
        let own = parquet.metadata().file_metadata().key_value_metadata();
        let own = own.and_then(|pairs| pairs.iter().find(|pair| pair.key == METADATA_KEY)?.value.as_deref());
        let own: Metadata =
            serde_json::from_str(own.ok_or("it has no metadata of ours")?).map_err(|error| error.to_string())?;
        let series = own.decode_series()?;
        let groups = parquet.metadata().row_groups().iter().map(|group| group.num_rows() as usize);
        let starts = starts(&series, groups);
        if parquet.metadata().num_row_groups() != own.groups.len() {
            return Err(format!("{} row groups, ours are {}", parquet.metadata().num_row_groups(), own.groups.len()));
        }
        let fields = fields(&parquet, own.fields)?;
        let table = (own.schema, own.table);
        Ok(Footer { parquet, groups: own.groups, series, starts, table, number: own.number, fields })
    }

    /// Where the column of a field is.
    pub(crate) fn column_of(&self, field: u32) -> Option<usize> {
        self.fields.iter().find(|(own, _)| *own == field).map(|(_, place)| *place)
    }

    /// The rows of all row groups.
    pub(crate) fn rows(&self) -> usize {
        self.series.iter().map(|(_, rows)| *rows as usize).sum()
    }

    /// The series of a row group's rows, each with how many.
    pub(crate) fn runs(&self, group: usize) -> impl Iterator<Item = (u32, usize)> + '_ {
        let (first, before) = self.starts[group];
        let mut left = self.parquet.metadata().row_group(group).num_rows() as usize;
        self.series[first..].iter().enumerate().map_while(move |(at, (series, rows))| {
            let rows = if at == 0 { rows - before } else { *rows };
            let count = left.min(rows as usize);
            left -= count;
            (count > 0).then_some((*series, count))
        })
    }

    fn bytes(&self) -> usize {
        self.parquet.metadata().memory_size()
            + size_of_val(&self.series[..])
            + size_of_val(&self.starts[..])
            + size_of_val(&self.groups[..])
            + size_of_val(&self.fields[..])
    }
}

/// The numbers of the fields and where their columns are: behind the time and the tags, which are dictionaries. Without
/// numbers they count from 0.
fn fields(parquet: &ArrowReaderMetadata, numbers: Option<Vec<u32>>) -> Result<Vec<(u32, usize)>, String> {
    let columns = parquet.schema().fields().iter().enumerate().skip(1);
    let places = columns.filter(|(_, column)| !matches!(column.data_type(), DataType::Dictionary(..)));
    let places: Vec<usize> = places.map(|(place, _)| place).collect();
    if parquet.schema().fields().is_empty() {
        return Err("it has no columns".into());
    }
    let numbers = numbers.unwrap_or_else(|| (0..places.len() as u32).collect());
    if numbers.len() != places.len() {
        return Err(format!("{} fields, ours are {}", places.len(), numbers.len()));
    }
    Ok(numbers.into_iter().zip(places).collect())
}

/// Where row groups of so many rows begin among runs.
fn starts(series: &[(u32, u32)], groups: impl Iterator<Item = usize>) -> Vec<(usize, u32)> {
    let (mut run, mut used) = (0, 0u32);
    let start_of = |rows: usize| {
        let start = (run, used);
        let mut left = rows;
        while let Some((_, rows)) = series.get(run).filter(|_| left > 0) {
            let count = left.min((rows - used) as usize);
            left -= count;
            used += count as u32;
            if used == *rows {
                (run, used) = (run + 1, 0);
            }
        }
        start
    };
    groups.map(start_of).collect()
}

/// Footers that were parsed before.
pub(crate) struct Footers(Cache<RolledId, Arc<Footer>, Bytewise>);

/// Footers weigh what they have in bytes.
#[derive(Debug, Clone)]
struct Bytewise;

impl Weighter<RolledId, Arc<Footer>> for Bytewise {
    fn weight(&self, _: &RolledId, footer: &Arc<Footer>) -> u64 {
        footer.bytes() as u64
    }
}

impl std::fmt::Debug for Footers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Footers({} bytes)", self.bytes())
    }
}

impl Footers {
    /// Keeps up to so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Arc<Footers> {
        let mut options = OptionsBuilder::new();
        // One shard: the limit of each would keep a large footer out.
        let options = options.shards(1).estimated_items_capacity(1024).weight_capacity(bytes_max as u64);
        let options = options.build().expect("all that is needed was said");
        let (hasher, lifecycle) = (DefaultHashBuilder::default(), DefaultLifecycle::default());
        Arc::new(Footers(Cache::with_options(options, Bytewise, hasher, lifecycle)))
    }

    /// The footer of a rolled day, whose file has these bytes.
    pub(crate) fn get(&self, id: RolledId, bytes: &Bytes) -> Result<Arc<Footer>, String> {
        self.0.get_or_insert_with(&id, || Footer::checked(bytes, id).map(Arc::new))
    }

    /// How many bytes are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.0.weight() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_may_reach_over_row_groups() {
        let series = [(1, 5), (2, 1), (9, 12)];
        assert_eq!(starts(&series, [5, 5, 5, 3].into_iter()), [(0, 0), (1, 0), (2, 4), (2, 9)]);
        assert_eq!(starts(&series, [3, 15].into_iter()), [(0, 0), (0, 3)]);
        assert_eq!(starts(&[], [].into_iter()), []);
    }
}
