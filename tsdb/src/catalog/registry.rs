//! What exists: schemas, tables, their tags and fields, and every series.
//!
//! The hot path takes no lock: tables live in an append-only vector, columns behind an atomic pointer, and a series is
//! found by the bytes that name it in [`Spellings`]. Growing goes through one mutex, which only a row that names
//! something new takes. Each growth is a [`Change`]; the changes since the last group commit wait in a buffer that the
//! writer makes durable *before* any frame that could refer to them. Opening the store applies the same changes again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use arc_swap::ArcSwap;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use hashbrown::HashTable;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128, xxh3_128_with_seed};

use crate::base::clock::now_ns;
use crate::base::error::RowError;
use crate::base::limits::Limits;
use crate::base::names::TIME_COLUMN;
use crate::base::retention::Retentions;
use crate::base::row::{Row, check_name, check_row};
use crate::base::series_ref::SeriesRef;
use crate::base::value::{FieldType, Value};
use crate::catalog::change::Change;
use crate::catalog::spellings::{Spellings, SpellingsNow};
use crate::catalog::tag::{ABSENT, Tag};

/// Spellings of series (tags in another order, other escapes) remembered beyond one a series.
const SPARE_SPELLINGS: usize = 1024;

/// About what each takes in memory, with room to grow. Reckoned, to be rather too much: together they make 165 bytes a
/// series where `cargo bench -p benches --bench series` measures 141.
const TABLE_BYTES: usize = 1024;
const TAG_BYTES: usize = 1024;
const FIELD_BYTES: usize = 384;
/// Beside its text, which is there twice: as it grows, and as answers have it.
const TAG_VALUE_BYTES: usize = 48;
/// Its codes and one spelling.
const SERIES_BYTES: usize = 56;
/// A spelling beyond that: three words, in a table that is half full at the least.
const SPELLING_BYTES: usize = 48;
/// Its place in a tag's column and in the set of a value.
const SERIES_TAG_BYTES: usize = 10;

/// A table: one measurement of one schema.
#[derive(Debug)]
pub(crate) struct Table {
    pub id: u32,
    pub schema: String,
    pub name: String,
    columns: ArcSwap<KnownColumns>,
    tags: boxcar::Vec<Tag>,
    series: AtomicU32,
    /// So many of its tags and fields are durable, by their numbers. The others are of batches that are not written yet
    /// and may never be.
    durable: Mutex<(u32, u32)>,
    /// The first time that retention keeps, ns since the epoch; [`DROPPED`] if it was dropped.
    floor: AtomicI64,
}

/// The floor of a table that was dropped: nothing of it is kept.
pub(crate) const DROPPED: i64 = i64::MAX;

/// The columns of a table at one instant.
#[derive(Debug, Default, Clone)]
pub(crate) struct KnownColumns {
    pub tags: Vec<Arc<str>>,
    /// By number; those that were dropped, too.
    pub fields: Vec<(Arc<str>, FieldType)>,
    dropped: Vec<u32>,
    by_name: HashMap<Arc<str>, ColumnRef>,
    arrow: Made,
}

/// The Arrow schema of columns, made when it is first wanted. KnownColumns that are copied are about to change: theirs
/// is another.
#[derive(Debug, Default)]
struct Made(OnceLock<SchemaRef>);

impl Clone for Made {
    fn clone(&self) -> Made {
        Made::default()
    }
}

impl KnownColumns {
    /// `time`, the tags, the fields.
    pub(crate) fn arrow(&self) -> &SchemaRef {
        self.arrow.0.get_or_init(|| {
            let time = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
            let tag = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
            let mut fields = vec![Field::new(TIME_COLUMN, time, false)];
            fields.extend(self.tags.iter().map(|name| Field::new(&**name, tag.clone(), true)));
            fields.extend(self.live_fields().map(|(_, name, kind)| Field::new(&**name, kind.arrow(), true)));
            Arc::new(Schema::new(fields))
        })
    }

    /// The fields that were not dropped, with their numbers.
    pub(crate) fn live_fields(&self) -> impl Iterator<Item = (u32, &Arc<str>, FieldType)> {
        let all = (0..).zip(&self.fields).map(|(number, (name, kind))| (number, name, *kind));
        all.filter(|(number, ..)| !self.is_dropped(*number))
    }

    pub(crate) fn is_dropped(&self, field: u32) -> bool {
        self.dropped.contains(&field)
    }
}

/// A column's place among the tags or among the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnRef {
    Tag(u32),
    Field(u32, FieldType),
}

impl KnownColumns {
    pub(crate) fn find(&self, name: &str) -> Option<ColumnRef> {
        self.by_name.get(name).copied()
    }

    /// Is there room for the columns of a row that are not here?
    fn check_room(&self, row: &Row<'_>, limit: usize) -> Result<(), RowError> {
        let names = row.tags.iter().map(|(name, _)| *name).chain(row.fields.iter().map(|(name, _)| *name));
        let mut room = limit.saturating_sub(self.by_name.len());
        for name in names.filter(|name| self.find(name).is_none()) {
            if room == 0 {
                let (table, column) = (row.measurement.into(), name.into());
                return Err(RowError::TooManyColumns { table, column, limit });
            }
            room -= 1;
        }
        Ok(())
    }
}

impl Table {
    /// The columns as they are now.
    pub(crate) fn columns(&self) -> Arc<KnownColumns> {
        self.columns.load_full()
    }

    /// The first time that retention keeps.
    pub(crate) fn floor(&self) -> i64 {
        self.floor.load(Ordering::Relaxed)
    }

    pub(crate) fn set_floor(&self, floor: i64) {
        let set = |old| (old != DROPPED).then_some(floor);
        let _ = self.floor.fetch_update(Ordering::Relaxed, Ordering::Relaxed, set);
    }

    /// What refuses a row of this time, if one does.
    pub(crate) fn check_time(&self, time: i64) -> Result<(), RowError> {
        match self.floor() {
            floor if time >= floor && floor != DROPPED => Ok(()),
            DROPPED => Err(RowError::Dropped { table: self.name.clone() }),
            floor => Err(RowError::BeforeRetention { table: self.name.clone(), floor }),
        }
    }

    /// Nobody finds it by its name any more. What it has goes away.
    pub(crate) fn is_dropped(&self) -> bool {
        self.floor() == DROPPED
    }

    /// The names of these columns of its without those that a loss of power may take: what files may name.
    pub(crate) fn durable_names<'a>(&self, columns: &'a KnownColumns) -> Vec<&'a str> {
        let (tags, fields) = *self.durable();
        let tags = columns.tags.iter().take(tags as usize);
        let fields = columns.live_fields().filter(|(number, ..)| *number < fields).map(|(_, name, _)| name);
        std::iter::once(TIME_COLUMN).chain(tags.chain(fields).map(|name| &**name)).collect()
    }

    fn durable(&self) -> MutexGuard<'_, (u32, u32)> {
        self.durable.lock().expect("nothing panics while it holds two numbers")
    }

    pub(crate) fn series_count(&self) -> u32 {
        self.series.load(Ordering::Acquire)
    }

    /// A tag with its values.
    pub(crate) fn tag(&self, tag: u32) -> &Tag {
        self.tags.get(tag as usize).expect("the tag exists")
    }

    /// The identity of a series: the codes of its tags without the absent ones at the end.
    fn codes(&self, series: u32) -> impl Iterator<Item = u32> + '_ {
        (0..self.tags.count() as u32).map(move |tag| self.tag(tag).code(series))
    }

    /// Says where a row contradicts the columns that there are, before anything of it is taken.
    fn check(&self, row: &Row<'_>, limits: &Limits) -> Result<(), RowError> {
        let columns = self.columns.load();
        let kind = |column: &str, known, got| {
            Err(RowError::ColumnKind { table: self.name.clone(), column: column.into(), known, got })
        };
        for (name, _) in row.tags {
            if let Some(ColumnRef::Field(..)) = columns.find(name) {
                return kind(name, "field", "tag");
            }
        }
        for (name, value) in row.fields {
            let got = value.field_type();
            match columns.find(name) {
                Some(ColumnRef::Tag(_)) => return kind(name, "tag", "field"),
                Some(ColumnRef::Field(_, known)) if known != got => {
                    return Err(RowError::FieldType { table: self.name.clone(), column: (*name).into(), known, got });
                }
                _ => {}
            }
        }
        columns.check_room(row, limits.columns_max)
    }
}

/// Every table and series, and the changes that are not yet durable.
#[derive(Debug)]
pub(crate) struct Catalog {
    tables: boxcar::Vec<Arc<Table>>,
    /// Was one of them dropped? Then a spelling can mean a series that is no more.
    has_dropped: AtomicBool,
    /// By schema and name.
    by_name: papaya::HashMap<(String, String), u32>,
    /// Series by the hash of the bytes that a client wrote them with.
    by_spelling: Spellings,
    /// Keys the hash of spellings, so that nobody can aim for a collision.
    seed: u64,
    growth: Mutex<Growth>,
    /// How often tables or columns have changed.
    version: AtomicU64,
    /// About how many bytes of memory all this takes, and from how many on nothing new is taken.
    bytes: AtomicUsize,
    bytes_max: usize,
    limits: Limits,
    /// Old rows are refused from the first row of a table on.
    retentions: Retentions,
}

/// What only growing needs.
#[derive(Debug, Default)]
struct Growth {
    tables: Vec<TableGrowth>,
    series: usize,
    /// Changes that wait to be made durable.
    pending: Pending,
    /// Tables of which a log that is replayed is known to say later that they were dropped.
    to_be_dropped: HashSet<u32>,
}

/// Changes that are not durable yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// As the catalogue's log has them.
    pub changes: Vec<u8>,
    /// The tables that have new columns by them, and how many tags and fields these have then.
    columns: BTreeMap<u32, (u32, u32)>,
}

#[derive(Debug, Default)]
struct TableGrowth {
    /// Series by their tag codes.
    by_codes: HashTable<u32>,
}

impl Catalog {
    pub(crate) fn new() -> Catalog {
        Catalog::limited(Retentions::default(), usize::MAX, Limits::default())
    }

    /// An empty catalogue of tables that are kept like this, which takes about so much memory at the most.
    pub(crate) fn limited(retentions: Retentions, bytes_max: usize, limits: Limits) -> Catalog {
        Catalog {
            limits: limits.clamped(),
            retentions,
            bytes: AtomicUsize::new(0),
            bytes_max,
            tables: boxcar::Vec::new(),
            has_dropped: AtomicBool::new(false),
            by_name: papaya::HashMap::new(),
            by_spelling: Spellings::new(),
            seed: RandomState::new().hash_one(0),
            growth: Mutex::default(),
            version: AtomicU64::new(0),
        }
    }

    pub(crate) fn table(&self, id: u32) -> Option<&Arc<Table>> {
        self.tables.get(id as usize)
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is kept of each table.
    pub(crate) fn retentions(&self) -> &Retentions {
        &self.retentions
    }

    pub(crate) fn find_table(&self, schema: &str, name: &str) -> Option<&Arc<Table>> {
        let id = *self.by_name.pin().get(&FullName(schema, name))?;
        self.table(id)
    }

    /// Every table by its number; those that were dropped, too.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.iter().map(|(_, table)| table)
    }

    /// Those that were not dropped.
    pub(crate) fn live_tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables().filter(|table| !table.is_dropped())
    }

    /// What the keys of spellings of a schema, admission and format are made with: it is the same for every row of a
    /// request.
    pub(crate) fn spelling_seed(&self, schema: &str, admission: Option<&str>, format: &str) -> u64 {
        self.seed ^ xxh3_128(format!("{schema}\0{admission:?}\0{format}").as_bytes()) as u64
    }

    /// The key of a series' spelling.
    pub(crate) fn spelling(seed: u64, raw: &[u8]) -> u128 {
        xxh3_128_with_seed(raw, seed)
    }

    pub(crate) fn find_spelling(&self, spelling: u128) -> Option<SeriesRef> {
        self.by_spelling.find(spelling)
    }

    /// Is it a series of a table that was not dropped?
    #[inline]
    pub(crate) fn is_live(&self, series: SeriesRef) -> bool {
        !self.has_dropped.load(Ordering::Relaxed) || self.table(series.table).is_some_and(|table| !table.is_dropped())
    }

    /// The spellings as they are now.
    pub(crate) fn spellings(&self) -> SpellingsNow {
        self.by_spelling.snapshot()
    }

    /// The series of a row, with its table and tags, all made if they are new.
    pub(crate) fn series(&self, schema: &str, row: &Row<'_>, spelling: Option<u128>) -> Result<SeriesRef, RowError> {
        check_row(row, &self.limits)?;
        let mut growth = self.lock();
        match self.find_table(schema, row.measurement) {
            Some(table) => table.check(row, &self.limits)?,
            None => KnownColumns::default().check_room(row, self.limits.columns_max)?,
        }
        if self.bytes() >= self.bytes_max && !self.is_known(&growth, schema, row) {
            return Err(RowError::CatalogFull { table: row.measurement.into(), limit: self.bytes_max });
        }
        let limit = self.limits.table_series_max;
        let is_full = |table: &Arc<Table>| table.series_count() >= limit;
        if self.find_table(schema, row.measurement).is_some_and(is_full) && !self.is_known(&growth, schema, row) {
            return Err(RowError::TooManySeries { table: row.measurement.into(), limit });
        }
        let table = self.table_id(&mut growth, schema, row.measurement);
        let codes = self.codes(&mut growth, table, row.tags)?;
        let known = &self.tables[table as usize];
        let series = growth.tables[table as usize].find(known, &codes).unwrap_or_else(|| {
            self.grow(&mut growth, Change::Series { table, codes: &codes });
            known.series_count() - 1
        });
        let found = SeriesRef { table, series };
        if let Some(spelling) = spelling {
            self.remember(&growth, spelling, found);
        }
        Ok(found)
    }

    /// Every series has room for a spelling; others are only kept while there is memory for them.
    fn remember(&self, growth: &Growth, spelling: u128, series: SeriesRef) {
        let count = self.by_spelling.len();
        let is_spare = count >= growth.series;
        if is_spare && (count >= 2 * growth.series + SPARE_SPELLINGS || self.bytes() >= self.bytes_max) {
            return;
        }
        self.by_spelling.insert(spelling, series);
        if is_spare && self.by_spelling.len() > count {
            self.bytes.fetch_add(SPELLING_BYTES, Ordering::Relaxed);
        }
    }

    /// Is the series of a row here, under whatever spelling?
    fn is_known(&self, growth: &Growth, schema: &str, row: &Row<'_>) -> bool {
        let Some(table) = self.find_table(schema, row.measurement) else { return false };
        let columns = table.columns();
        let mut codes = vec![ABSENT; columns.tags.len()];
        for (name, value) in row.tags {
            let Some(ColumnRef::Tag(tag)) = columns.find(name) else { return false };
            let Some(code) = table.tag(tag).values().find(value) else { return false };
            codes[tag as usize] = code;
        }
        growth.tables[table.id as usize].find(table, &codes).is_some()
    }

    /// Makes a table with these columns, or adds those of them that it does not have, in their order.
    pub(crate) fn declare(
        &self,
        schema: &str,
        name: &str,
        tags: &[&str],
        fields: &[(&str, FieldType)],
    ) -> Result<(), RowError> {
        let limits = &self.limits;
        check_name("measurement", name, limits)?;
        tags.iter().try_for_each(|tag| check_name("tag", tag, limits))?;
        fields.iter().try_for_each(|(field, _)| check_name("field", field, limits))?;
        let mut growth = self.lock();
        let table = self.table_id(&mut growth, schema, name);
        let columns = self.tables[table as usize].columns();
        // A column that is known otherwise stays as it is: rows that contradict it are refused one by one.
        for name in tags.iter().filter(|name| columns.find(name).is_none()) {
            self.grow(&mut growth, Change::Tag { table, name });
        }
        for (name, kind) in fields.iter().filter(|(name, _)| columns.find(name).is_none()) {
            self.grow(&mut growth, Change::Field { table, kind: *kind, name });
        }
        Ok(())
    }

    /// The number of a table, made if it is new.
    fn table_id(&self, growth: &mut Growth, schema: &str, name: &str) -> u32 {
        let known = self.by_name.pin().get(&FullName(schema, name)).copied();
        known.unwrap_or_else(|| {
            self.grow(growth, Change::Table { schema, name });
            (growth.tables.len() - 1) as u32
        })
    }

    /// Makes those fields of a row that are new to its table, or none of them.
    pub(crate) fn fields(&self, table: &Table, fields: &[(&str, Value<'_>)]) -> Result<(), RowError> {
        let row = Row { measurement: &table.name, tags: &[], time: 0, fields };
        check_row(&row, &self.limits)?;
        let mut growth = self.lock();
        table.check(&row, &self.limits)?;
        for (name, value) in fields {
            if table.columns.load().find(name).is_none() {
                self.grow(&mut growth, Change::Field { table: table.id, kind: value.field_type(), name });
            }
        }
        Ok(())
    }

    /// The code of each tag in the order of the table's tags.
    fn codes(&self, growth: &mut Growth, table: u32, tags: &[(&str, &str)]) -> Result<Vec<u32>, RowError> {
        let mut codes = Vec::new();
        for (name, value) in tags {
            let find = || self.tables[table as usize].columns.load().find(name);
            if find().is_none() {
                self.grow(growth, Change::Tag { table, name });
            }
            let Some(ColumnRef::Tag(tag)) = find() else { unreachable!("checked before: {name} is no field") };
            let values = self.tables[table as usize].tag(tag);
            let known = values.values().find(value);
            let code = match known {
                Some(code) => code,
                None => {
                    let code = values.add(value).ok_or_else(|| RowError::TooManyTagValues { tag: (*name).into() })?;
                    let change = Change::TagValue { table, tag, value };
                    change.encode(&mut growth.pending.changes);
                    self.bytes.fetch_add(memory_of(&change), Ordering::Relaxed);
                    code
                }
            };
            codes.resize(codes.len().max(tag as usize + 1), ABSENT);
            codes[tag as usize] = code;
        }
        Ok(codes)
    }

    /// Makes a change and notes it for the log.
    fn grow(&self, growth: &mut Growth, change: Change<'_>) {
        change.encode(&mut growth.pending.changes);
        self.apply(growth, change).expect("a change that the catalogue makes itself fits it");
        if let Change::Tag { table, .. } | Change::Field { table, .. } = change {
            growth.pending.columns.insert(table, self.columns_of(table));
        }
    }

    /// How many tags and fields a table has.
    fn columns_of(&self, table: u32) -> (u32, u32) {
        let columns = self.table(table).expect("it was just found").columns();
        (columns.tags.len() as u32, columns.fields.len() as u32)
    }

    /// What a log says at last of tables that were dropped, before it is replayed: their series take no memory then.
    pub(crate) fn expect_dropped(&self, tables: HashSet<u32>) {
        self.lock().to_be_dropped = tables;
    }

    /// How often tables or columns have changed.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Makes a change that comes from the log.
    pub(crate) fn replay(&self, change: Change<'_>) -> Result<(), String> {
        self.apply(&mut self.lock(), change)?;
        if let Change::Tag { table, .. } | Change::Field { table, .. } = change {
            *self.table(table).expect("it was just found").durable() = self.columns_of(table);
        }
        Ok(())
    }

    fn apply(&self, growth: &mut Growth, change: Change<'_>) -> Result<(), String> {
        let is_of_dropped = match change {
            Change::Series { table, .. } | Change::TagValue { table, .. } => {
                self.table(table).is_some_and(|table| table.is_dropped())
            }
            _ => false,
        };
        if !is_of_dropped {
            self.bytes.fetch_add(memory_of(&change), Ordering::Relaxed);
        }
        let table_of = |id: u32| self.table(id).ok_or_else(|| format!("table {id} was never made"));
        let is_of_series = matches!(change, Change::TagValue { .. } | Change::Series { .. });
        match change {
            Change::Table { schema, name } => {
                let id = growth.tables.len() as u32;
                let is_dropped = growth.to_be_dropped.contains(&id);
                let floor = if is_dropped { DROPPED } else { self.retentions.of(schema, name).floor(now_ns()) };
                growth.tables.push(TableGrowth::default());
                self.tables.push(Arc::new(Table {
                    id,
                    schema: schema.into(),
                    name: name.into(),
                    columns: ArcSwap::default(),
                    tags: boxcar::Vec::new(),
                    series: AtomicU32::new(0),
                    durable: Mutex::default(),
                    floor: AtomicI64::new(floor),
                }));
                if !is_dropped {
                    self.by_name.pin().insert((schema.to_owned(), name.to_owned()), id);
                }
            }
            Change::Tag { table, name } => {
                let table = table_of(table)?;
                table.tags.push(Tag::new());
                table.columns.rcu(|columns| {
                    let (mut columns, name) = (KnownColumns::clone(columns), Arc::<str>::from(name));
                    columns.by_name.insert(name.clone(), ColumnRef::Tag(columns.tags.len() as u32));
                    columns.tags.push(name);
                    columns
                });
            }
            Change::Field { table, kind, name } => {
                table_of(table)?.columns.rcu(|columns| {
                    let (mut columns, name) = (KnownColumns::clone(columns), Arc::<str>::from(name));
                    columns.by_name.insert(name.clone(), ColumnRef::Field(columns.fields.len() as u32, kind));
                    columns.fields.push((name, kind));
                    columns
                });
            }
            Change::TagValue { .. } if is_of_dropped => {}
            Change::TagValue { table, tag, value } => {
                let values = table_of(table)?.tags.get(tag as usize);
                let values = values.ok_or_else(|| format!("tag {tag} of table {table} was never made"))?;
                values.add(value).ok_or_else(|| format!("tag {tag} of table {table} has too many values"))?;
            }
            Change::Series { table, .. } if is_of_dropped => {
                // Its rows, as long as there are some, name it by its number.
                let known = table_of(table)?;
                known.series.store(known.series_count().saturating_add(1), Ordering::Release);
            }
            Change::Series { table, codes } => {
                let known = table_of(table)?;
                let fits = |(tag, code): (usize, &u32)| {
                    *code == ABSENT || known.tags.get(tag).is_some_and(|tag| (*code as usize) < tag.values().len())
                };
                if !codes.iter().enumerate().all(fits) {
                    return Err(format!("a series of table {table} has a tag value that was never made"));
                }
                let series = known.series_count();
                if series == u32::MAX {
                    return Err(format!("table {table} has as many series as there are numbers"));
                }
                for (tag, code) in codes.iter().enumerate().filter(|(_, code)| **code != ABSENT) {
                    known.tags[tag].set(series, *code);
                }
                let hash = |series: &u32| codes_hash(known.codes(*series));
                growth.tables[table as usize].by_codes.insert_unique(codes_hash(codes.iter().copied()), series, hash);
                growth.series += 1;
                known.series.store(series + 1, Ordering::Release);
            }
            Change::TableDropped { table } => {
                let known = table_of(table)?;
                growth.series = growth.series.saturating_sub(growth.tables[table as usize].by_codes.len());
                growth.tables[table as usize].by_codes = HashTable::new();
                let name = FullName(&known.schema, &known.name);
                if self.by_name.pin().get(&name) == Some(&table) {
                    self.by_name.pin().remove(&name);
                }
                known.floor.store(DROPPED, Ordering::Relaxed);
                self.has_dropped.store(true, Ordering::Release);
            }
            Change::FieldDropped { table, field } => {
                let known = table_of(table)?;
                if known.columns().fields.len() <= field as usize {
                    return Err(format!("field {field} of table {table} was never made"));
                }
                known.columns.rcu(|columns| {
                    let mut columns = KnownColumns::clone(columns);
                    let name = columns.fields[field as usize].0.clone();
                    columns.by_name.retain(|own, column| {
                        *own != name || !matches!(column, ColumnRef::Field(number, _) if *number == field)
                    });
                    if !columns.is_dropped(field) {
                        columns.dropped.push(field);
                    }
                    columns
                });
            }
        }
        if !is_of_series {
            // Behind the change: who knows this number knows it, too.
            self.version.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    /// Says what of a stored table's fields and series is not here.
    pub(crate) fn check(
        &self,
        table: u32,
        fields: &[(u32, FieldType)],
        last_series: Option<u32>,
    ) -> Result<(), String> {
        let known = self.table(table).ok_or_else(|| format!("table {table} is not in the catalogue"))?;
        let columns = known.columns();
        let differs = |(field, kind): &&(u32, FieldType)| {
            columns.fields.get(*field as usize).is_none_or(|(_, known)| known != kind)
        };
        if let Some((field, _)) = fields.iter().find(differs) {
            return Err(format!("field {field} of table {} is not in the catalogue", known.name));
        }
        match last_series.filter(|series| *series >= known.series_count()) {
            Some(series) => Err(format!("series {series} of table {} is not in the catalogue", known.name)),
            None => Ok(()),
        }
    }

    /// Takes the changes that are not yet durable.
    pub(crate) fn take_pending(&self) -> Pending {
        std::mem::take(&mut self.lock().pending)
    }

    /// Puts back changes that could not be made durable, before those that came meanwhile.
    pub(crate) fn return_pending(&self, mut pending: Pending) {
        let mut growth = self.lock();
        let later = std::mem::take(&mut growth.pending);
        pending.changes.extend(later.changes);
        pending.columns.extend(later.columns);
        growth.pending = pending;
    }

    /// These changes are durable now.
    pub(crate) fn made_durable(&self, pending: &Pending) {
        for (table, columns) in &pending.columns {
            *self.table(*table).expect("its columns were just made").durable() = *columns;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Growth> {
        self.growth.lock().expect("nothing panics while it holds the catalogue")
    }
}

/// About how many bytes of memory a change takes.
fn memory_of(change: &Change<'_>) -> usize {
    match change {
        Change::Table { schema, name } => TABLE_BYTES + schema.len() + 2 * name.len(),
        Change::Tag { .. } => TAG_BYTES,
        Change::Field { .. } => FIELD_BYTES,
        Change::TagValue { value, .. } => TAG_VALUE_BYTES + 2 * value.len(),
        Change::Series { codes, .. } => SERIES_BYTES + SERIES_TAG_BYTES * codes.len(),
        Change::TableDropped { .. } | Change::FieldDropped { .. } => 0,
    }
}

/// Finds a table by borrowed names; hashed as the pair of names is.
#[derive(Hash)]
struct FullName<'a>(&'a str, &'a str);

impl papaya::Equivalent<(String, String)> for FullName<'_> {
    fn equivalent(&self, (schema, name): &(String, String)) -> bool {
        (self.0, self.1) == (schema, name)
    }
}

impl TableGrowth {
    /// The series with these tag codes.
    fn find(&self, table: &Table, codes: &[u32]) -> Option<u32> {
        let is_this = |series: &u32| {
            let own = table.codes(*series);
            own.eq(codes.iter().copied().chain(std::iter::repeat(ABSENT)).take(table.tags.count()))
        };
        self.by_codes.find(codes_hash(codes.iter().copied()), is_this).copied()
    }
}

/// The hash of tag codes; absent ones do not count.
fn codes_hash(codes: impl Iterator<Item = u32>) -> u64 {
    let mut hasher = Xxh3Default::new();
    for (tag, code) in codes.enumerate().filter(|(_, code)| *code != ABSENT) {
        hasher.update(&(tag as u32).to_le_bytes());
        hasher.update(&code.to_le_bytes());
    }
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(tags: &'a [(&'a str, &'a str)], fields: &'a [(&'a str, Value<'a>)]) -> Row<'a> {
        Row { measurement: "cpu", tags, time: 0, fields }
    }

    #[test]
    fn the_order_of_tags_does_not_make_another_series_and_replay_gives_the_same_numbers() {
        let catalog = Catalog::new();
        let fields = [("usage", Value::F64(1.0))];
        let one = catalog.series("public", &row(&[("host", "a"), ("dc", "x")], &fields), None).unwrap();
        let same = catalog.series("public", &row(&[("dc", "x"), ("host", "a")], &fields), None).unwrap();
        let other = catalog.series("public", &row(&[("dc", "x")], &fields), None).unwrap();
        let elsewhere = catalog.series("other", &row(&[("host", "a"), ("dc", "x")], &fields), None).unwrap();
        assert_eq!(one, same);
        assert!(one != other && elsewhere.table != one.table);
        catalog.fields(&catalog.tables[0], &fields).unwrap();

        let again = Catalog::new();
        Change::decode_all(&catalog.take_pending().changes, |change| again.replay(change)).unwrap();
        assert_eq!(again.series("public", &row(&[("dc", "x"), ("host", "a")], &fields), None).unwrap(), one);
        assert_eq!(
            again.find_table("public", "cpu").unwrap().columns().find("usage"),
            Some(ColumnRef::Field(0, FieldType::F64))
        );
        assert!(again.take_pending().changes.is_empty(), "nothing was new");
    }

    #[test]
    fn a_full_catalogue_takes_known_series_only() {
        let catalog = Catalog::limited(Retentions::default(), 20_000, Limits::default());
        let fields = [("usage", Value::F64(1.0))];
        let mut known = Vec::new();
        for n in 0..1000 {
            let host = format!("host {n}");
            match catalog.series("public", &row(&[("host", &host), ("dc", "x")], &fields), None) {
                Ok(series) => known.push((host, series)),
                Err(error) => {
                    assert_eq!(error, RowError::CatalogFull { table: "cpu".into(), limit: 20_000 });
                    assert!(error.to_string().contains("store.catalog_max"), "{error}");
                }
            }
        }
        assert!((50..200).contains(&known.len()), "{} series", known.len());
        let pending = catalog.take_pending().changes;
        assert!(!pending.is_empty() && catalog.bytes() < 21_000);
        let bytes = catalog.bytes();
        for spelling in 0..3000u128 {
            // Known under other spellings, too, of which only as many are kept as there are series.
            let (host, series) = &known[spelling as usize % known.len()];
            let tags = [("dc", "x"), ("host", host)];
            let same = catalog.series("public", &row(&tags, &fields), Some(spelling << 64 | spelling)).unwrap();
            assert_eq!(same, *series);
        }
        assert_eq!((catalog.bytes(), catalog.by_spelling.len()), (bytes, known.len()));
        for new in [row(&[("dc", "x")], &fields), row(&[("host", "host 0"), ("new", "x")], &fields)] {
            assert!(matches!(catalog.series("public", &new, None), Err(RowError::CatalogFull { .. })));
        }
        assert!(matches!(catalog.series("other", &row(&[], &fields), None), Err(RowError::CatalogFull { .. })));
        assert!(catalog.take_pending().changes.is_empty(), "what was refused left something behind");
        // What is stored is opened, however much it is.
        let again = Catalog::limited(Retentions::default(), 100, Limits::default());
        Change::decode_all(&pending, |change| again.replay(change)).unwrap();
        assert_eq!(again.bytes(), catalog.bytes());
    }

    #[test]
    fn a_full_table_takes_known_series_only_and_others_go_on() {
        let limits = Limits { table_series_max: 2, tags_max: 2, ..Limits::default() };
        let catalog = Catalog::limited(Retentions::default(), usize::MAX, limits);
        let fields = [("usage", Value::F64(1.0))];
        let series = |tags: &[(&str, &str)]| catalog.series("public", &row(tags, &fields), None);
        let known = series(&[("host", "a")]).unwrap();
        series(&[("host", "b")]).unwrap();
        catalog.take_pending();
        let refused = series(&[("host", "c")]).unwrap_err();
        assert_eq!(refused, RowError::TooManySeries { table: "cpu".into(), limit: 2 });
        assert!(refused.to_string().contains("store.table_series_max"), "{refused}");
        let refused = series(&[("a", "1"), ("b", "1"), ("c", "1")]).unwrap_err();
        assert!(refused.to_string().contains("store.tags_max"), "{refused}");
        assert!(catalog.take_pending().changes.is_empty(), "what was refused left something behind");
        assert_eq!(series(&[("host", "a")]).unwrap(), known);
        catalog.series("other", &row(&[("host", "c")], &fields), None).unwrap();
    }

    #[test]
    fn a_refused_row_leaves_nothing_behind() {
        let catalog = Catalog::new();
        let fields = [("usage", Value::F64(1.0))];
        catalog.series("public", &row(&[("host", "a")], &fields), None).unwrap();
        catalog.fields(&catalog.tables[0], &fields).unwrap();
        catalog.take_pending();
        let refused = [
            row(&[("host", "b")], &[("usage", Value::I64(1))]),
            row(&[("usage", "b")], &[("other", Value::I64(1))]),
            row(&[("new", "b")], &[("host", Value::I64(1))]),
            row(&[("new", "b"), ("new", "c")], &fields),
            row(&[("time", "b")], &fields),
            row(&[("new", "")], &fields),
            row(&[("new", "b")], &[("both", Value::I64(1)), ("both", Value::F64(1.0))]),
        ];
        for bad in refused {
            catalog.series("public", &bad, None).unwrap_err();
            assert!(catalog.take_pending().changes.is_empty(), "{bad:?} left something behind");
        }
    }
}
