//! A frame: rows of one table as columns, in one checksummed block.
//!
//! The same bytes are what a request decodes into, what the log stores, what the head holds and what a query
//! views as Arrow arrays without a copy. `docs/format.md` has the layout byte by byte.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray, StringArray, types};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use bytes::Bytes;

use crate::base::value::{FieldType, Value};
use crate::files::aligned::aligned;
use crate::files::block::{self, HEADER_BYTES, Kind, u32_at, u64_at};
use crate::rows::columns::Column as Values;

/// Bytes of the frame's own header, behind the block header.
const FRAME_HEADER_BYTES: usize = 32;
/// Bytes of one column's entry in the frame.
const COLUMN_BYTES: usize = 16;
/// The validity offset of a column in which every row has a value.
const ALL_VALID: u32 = 0;

/// A checked frame. Cloning shares the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    bytes: Bytes,
    pub table: u32,
    pub rows: usize,
    pub min_time: i64,
    pub max_time: i64,
    /// Where the series and the times lie.
    series_at: usize,
    times_at: usize,
    columns: Arc<[Column]>,
}

/// Where a frame's column lies.
#[derive(Debug, Clone, Copy)]
struct Column {
    field: u32,
    kind: FieldType,
    validity: u32,
    data: u32,
}

impl Frame {
    /// The frame in `bytes`, which [`block::open`] has already found whole; `bytes` must be [`aligned`].
    ///
    /// Checks every offset and every string, so that no later access can go wrong.
    pub(crate) fn parse(bytes: Bytes) -> Result<Frame, String> {
        let body = bytes.get(HEADER_BYTES..HEADER_BYTES + FRAME_HEADER_BYTES).ok_or("no frame header")?;
        let (table, rows, count) = (u32_at(body, 0), u32_at(body, 4) as usize, u32_at(body, 8) as usize);
        let (min_time, max_time) = (u64_at(body, 16) as i64, u64_at(body, 24) as i64);
        let entries = HEADER_BYTES + FRAME_HEADER_BYTES;
        let mut columns = Vec::with_capacity(count.min(bytes.len() / COLUMN_BYTES));
        for index in 0..count {
            let at = entries + index * COLUMN_BYTES;
            let entry = bytes.get(at..at + COLUMN_BYTES).ok_or("column entries run past the end")?;
            let kind = FieldType::from_u8(entry[4]).ok_or_else(|| format!("unknown field type {}", entry[4]))?;
            columns.push(Column { field: u32_at(entry, 0), kind, validity: u32_at(entry, 8), data: u32_at(entry, 12) });
        }
        let series_at = entries + columns.len() * COLUMN_BYTES;
        let times_at = series_at + block::padded(rows * 4);
        let frame = Frame { bytes, table, rows, min_time, max_time, series_at, times_at, columns: columns.into() };
        frame.check()?;
        Ok(frame)
    }

    fn check(&self) -> Result<(), String> {
        if self.times_at + self.rows * 8 > self.bytes.len() {
            return Err(format!("{} rows run past the end", self.rows));
        }
        for column in self.columns.iter() {
            let (data, validity) = (column.data as usize, column.validity as usize);
            let fits = |at: usize, length: usize| at.is_multiple_of(8) && at + length <= self.bytes.len();
            let fixed = match column.kind {
                FieldType::F64 | FieldType::I64 | FieldType::U64 => self.rows * 8,
                FieldType::Bool => self.rows.div_ceil(8),
                FieldType::Str => (self.rows + 1) * 4,
            };
            if !fits(data, fixed) || !fits(validity, self.rows.div_ceil(8)) {
                return Err(format!("column {} runs past the end", column.field));
            }
            if column.kind == FieldType::Str {
                self.check_strings(data).map_err(|why| format!("column {}: {why}", column.field))?;
            }
        }
        Ok(())
    }

    fn check_strings(&self, data: usize) -> Result<(), String> {
        let offsets: &[i32] = bytemuck::cast_slice(&self.bytes[data..data + (self.rows + 1) * 4]);
        let text = &self.bytes[data + (self.rows + 1) * 4..];
        let last = usize::try_from(offsets[self.rows]).unwrap_or(usize::MAX);
        if offsets[0] != 0 || !offsets.is_sorted() || last > text.len() {
            return Err("string offsets are out of order or out of range".into());
        }
        let text = std::str::from_utf8(&text[..last]).map_err(|error| error.to_string())?;
        match offsets.iter().all(|at| text.is_char_boundary(*at as usize)) {
            true => Ok(()),
            false => Err("a string starts inside a character".into()),
        }
    }

    /// Rows of one float each that lie in a checked block of samples: where its series, its times and its values are.
    pub(crate) fn of_samples(bytes: &Bytes, table: u32, field: u32, rows: usize, at: [usize; 3]) -> Frame {
        let [series_at, times_at, values_at] = at;
        let data = u32::try_from(values_at).expect("a request is limited to far less than 4 GiB");
        let column = Column { field, kind: FieldType::F64, validity: ALL_VALID, data };
        let mut frame = Frame {
            bytes: bytes.clone(),
            table,
            rows,
            min_time: 0,
            max_time: 0,
            series_at,
            times_at,
            columns: Arc::new([column]),
        };
        frame.min_time = frame.times().iter().copied().min().unwrap_or_default();
        frame.max_time = frame.times().iter().copied().max().unwrap_or_default();
        frame
    }

    /// The series of each row.
    pub(crate) fn series(&self) -> &[u32] {
        bytemuck::cast_slice(&self.bytes[self.series_at..][..self.rows * 4])
    }

    /// The time of each row, ns since the epoch.
    pub(crate) fn times(&self) -> &[i64] {
        bytemuck::cast_slice(&self.bytes[self.times_at..][..self.rows * 8])
    }

    /// The fields that have a column here.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (u32, FieldType)> + '_ {
        self.columns.iter().map(|column| (column.field, column.kind))
    }

    /// The column of a field, as an Arrow array over the frame's own bytes.
    pub(crate) fn column(&self, field: u32) -> Option<ArrayRef> {
        let column = self.columns.iter().find(|column| column.field == field)?;
        let (rows, data) = (self.rows, Buffer::from(self.bytes.slice(column.data as usize..)));
        let nulls = (column.validity != ALL_VALID).then(|| {
            let bits = Buffer::from(self.bytes.slice(column.validity as usize..));
            NullBuffer::new(BooleanBuffer::new(bits, 0, rows))
        });
        Some(match column.kind {
            FieldType::F64 => numbers::<types::Float64Type>(data, rows, nulls),
            FieldType::I64 => numbers::<types::Int64Type>(data, rows, nulls),
            FieldType::U64 => numbers::<types::UInt64Type>(data, rows, nulls),
            FieldType::Bool => Arc::new(BooleanArray::new(BooleanBuffer::new(data, 0, rows), nulls)),
            FieldType::Str => {
                let offsets = OffsetBuffer::new(ScalarBuffer::<i32>::new(data.clone(), 0, rows + 1));
                let text = data.slice_with_length((rows + 1) * 4, offsets[rows] as usize);
                Arc::new(StringArray::new(offsets, text, nulls))
            }
        })
    }

    /// About how many bytes its rows take.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len().min(self.rows * (4 + 8 + 8 * self.columns.len()) + FRAME_HEADER_BYTES)
    }

    /// The whole block, as the log stores it, padding included.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

fn numbers<T: types::ArrowPrimitiveType>(data: Buffer, rows: usize, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::new(data, 0, rows), nulls))
}

/// Collects rows of one table into columns.
#[derive(Debug)]
pub(crate) struct FrameBuilder {
    table: u32,
    series: Vec<u32>,
    times: Vec<i64>,
    columns: Vec<ColumnBuilder>,
}

#[derive(Debug)]
struct ColumnBuilder {
    field: u32,
    data: ColumnData,
    /// One entry a row that has been reached: was a value given?
    valid: Vec<bool>,
}

#[derive(Debug)]
enum ColumnData {
    F64(Vec<f64>),
    I64(Vec<i64>),
    U64(Vec<u64>),
    Bool(Vec<bool>),
    Str { offsets: Vec<i32>, text: Vec<u8> },
}

impl FrameBuilder {
    pub(crate) fn new(table: u32) -> FrameBuilder {
        FrameBuilder { table, series: Vec::new(), times: Vec::new(), columns: Vec::new() }
    }

    pub(crate) fn rows(&self) -> usize {
        self.times.len()
    }

    /// Starts a row; [`set`](Self::set) gives it its fields.
    pub(crate) fn start_row(&mut self, series: u32, time: i64) {
        self.series.push(series);
        self.times.push(time);
    }

    /// Starts rows; [`extend`](Self::extend) gives them their fields.
    pub(crate) fn start_rows(&mut self, series: impl Iterator<Item = u32>, times: &[i64]) {
        self.series.extend(series);
        self.times.extend_from_slice(times);
    }

    /// Sets a field of the rows that were started last.
    pub(crate) fn extend(&mut self, column: usize, values: &Values<'_>) {
        let rows = self.rows();
        let column = &mut self.columns[column];
        column.pad(rows - values.len());
        column.data.extend(values);
        column.valid.resize(rows, true);
    }

    /// Adds the column of a field that has none yet.
    pub(crate) fn add_column(&mut self, field: u32, kind: FieldType) -> usize {
        self.columns.push(ColumnBuilder { field, data: ColumnData::new(kind), valid: Vec::new() });
        self.columns.len() - 1
    }

    /// Sets a field of the row that was started last. Set twice, the later value stands.
    pub(crate) fn set(&mut self, column: usize, value: Value<'_>) {
        let row = self.times.len() - 1;
        let column = &mut self.columns[column];
        if column.valid.len() > row {
            column.pop();
        }
        column.pad(row);
        column.data.push(Some(value));
        column.valid.push(true);
    }

    /// The frame, or nothing if no row was added.
    pub(crate) fn finish(mut self) -> Option<Frame> {
        let rows = self.rows();
        let (min_time, max_time) = (*self.times.iter().min()?, *self.times.iter().max()?);
        self.columns.iter_mut().for_each(|column| column.pad(rows));

        // Lay out: header, entries, series, times, then each column's validity and data.
        let entries = HEADER_BYTES + FRAME_HEADER_BYTES;
        let series_at = entries + self.columns.len() * COLUMN_BYTES;
        let times_at = series_at + block::padded(rows * 4);
        let mut end = times_at + rows * 8;
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let mut place = |bytes: usize| {
                let at = end;
                end += block::padded(bytes);
                u32::try_from(at).expect("a request is limited to far less than 4 GiB")
            };
            let validity = if column.valid.contains(&false) { place(rows.div_ceil(8)) } else { ALL_VALID };
            let data = place(column.data.bytes());
            columns.push(Column { field: column.field, kind: column.data.kind(), validity, data });
        }

        let bytes = aligned::<()>(end, |bytes| {
            let header = [self.table, rows as u32, columns.len() as u32, 0];
            bytes[HEADER_BYTES..][..16].copy_from_slice(bytemuck::cast_slice(&header));
            bytes[HEADER_BYTES + 16..][..16].copy_from_slice(bytemuck::cast_slice(&[min_time, max_time]));
            bytes[series_at..][..rows * 4].copy_from_slice(bytemuck::cast_slice(&self.series));
            bytes[times_at..][..rows * 8].copy_from_slice(bytemuck::cast_slice(&self.times));
            for (index, (column, built)) in columns.iter().zip(&self.columns).enumerate() {
                let entry = &mut bytes[entries + index * COLUMN_BYTES..][..COLUMN_BYTES];
                let numbers = [column.field, column.kind as u32, column.validity, column.data];
                entry.copy_from_slice(bytemuck::cast_slice(&numbers));
                if column.validity != ALL_VALID {
                    pack_bits(&built.valid, &mut bytes[column.validity as usize..]);
                }
                built.data.write(&mut bytes[column.data as usize..]);
            }
            block::finish(bytes, Kind::Frame);
            Ok(())
        });
        let bytes = bytes.expect("filling it cannot fail");
        let columns = columns.into();
        Some(Frame { bytes, table: self.table, rows, min_time, max_time, series_at, times_at, columns })
    }
}

/// Writes one bit a boolean, lowest bit first, as Arrow has them.
fn pack_bits(bools: &[bool], out: &mut [u8]) {
    for (index, _) in bools.iter().enumerate().filter(|(_, set)| **set) {
        out[index / 8] |= 1 << (index % 8);
    }
}

impl ColumnBuilder {
    /// Gives the rows before `row` that were left out no value.
    fn pad(&mut self, row: usize) {
        while self.valid.len() < row {
            self.data.push(None);
            self.valid.push(false);
        }
    }

    fn pop(&mut self) {
        self.valid.pop();
        self.data.pop();
    }
}

impl ColumnData {
    fn new(kind: FieldType) -> ColumnData {
        match kind {
            FieldType::F64 => ColumnData::F64(Vec::new()),
            FieldType::I64 => ColumnData::I64(Vec::new()),
            FieldType::U64 => ColumnData::U64(Vec::new()),
            FieldType::Bool => ColumnData::Bool(Vec::new()),
            FieldType::Str => ColumnData::Str { offsets: vec![0], text: Vec::new() },
        }
    }

    fn kind(&self) -> FieldType {
        match self {
            ColumnData::F64(_) => FieldType::F64,
            ColumnData::I64(_) => FieldType::I64,
            ColumnData::U64(_) => FieldType::U64,
            ColumnData::Bool(_) => FieldType::Bool,
            ColumnData::Str { .. } => FieldType::Str,
        }
    }

    fn push(&mut self, value: Option<Value<'_>>) {
        match (self, value) {
            (ColumnData::F64(data), Some(Value::F64(value))) => data.push(value),
            (ColumnData::F64(data), None) => data.push(0.0),
            (ColumnData::I64(data), Some(Value::I64(value))) => data.push(value),
            (ColumnData::I64(data), None) => data.push(0),
            (ColumnData::U64(data), Some(Value::U64(value))) => data.push(value),
            (ColumnData::U64(data), None) => data.push(0),
            (ColumnData::Bool(data), Some(Value::Bool(value))) => data.push(value),
            (ColumnData::Bool(data), None) => data.push(false),
            (ColumnData::Str { offsets, text }, value) => {
                if let Some(Value::Str(value)) = value {
                    text.extend_from_slice(value.as_bytes());
                }
                offsets.push(i32::try_from(text.len()).expect("a request is limited to less than 2 GiB"));
            }
            (data, Some(value)) => unreachable!("a column of {} got {value:?}: types are checked before", data.kind()),
        }
    }

    fn extend(&mut self, values: &Values<'_>) {
        match (self, values) {
            (ColumnData::F64(data), Values::F64(values)) => data.extend_from_slice(values),
            (ColumnData::I64(data), Values::I64(values)) => data.extend_from_slice(values),
            (ColumnData::U64(data), Values::U64(values)) => data.extend_from_slice(values),
            (ColumnData::Bool(data), Values::Bool(values)) => data.extend_from_slice(values),
            (data, Values::Str(values)) => values.iter().for_each(|text| data.push(Some(Value::Str(text)))),
            (data, _) => unreachable!("a column of {} got others: types are checked before", data.kind()),
        }
    }

    fn pop(&mut self) {
        match self {
            ColumnData::F64(data) => drop(data.pop()),
            ColumnData::I64(data) => drop(data.pop()),
            ColumnData::U64(data) => drop(data.pop()),
            ColumnData::Bool(data) => drop(data.pop()),
            ColumnData::Str { offsets, text } => {
                offsets.pop();
                text.truncate(offsets.last().copied().unwrap_or(0) as usize);
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            ColumnData::F64(data) => data.len() * 8,
            ColumnData::I64(data) => data.len() * 8,
            ColumnData::U64(data) => data.len() * 8,
            ColumnData::Bool(data) => data.len().div_ceil(8),
            ColumnData::Str { offsets, text } => offsets.len() * 4 + text.len(),
        }
    }

    fn write(&self, out: &mut [u8]) {
        let mut copy = |bytes: &[u8]| out[..bytes.len()].copy_from_slice(bytes);
        match self {
            ColumnData::F64(data) => copy(bytemuck::cast_slice(data)),
            ColumnData::I64(data) => copy(bytemuck::cast_slice(data)),
            ColumnData::U64(data) => copy(bytemuck::cast_slice(data)),
            ColumnData::Bool(data) => pack_bits(data, out),
            ColumnData::Str { offsets, text } => {
                copy(bytemuck::cast_slice(offsets));
                out[offsets.len() * 4..][..text.len()].copy_from_slice(text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    #[test]
    fn a_frame_reads_back_what_was_set() {
        let mut builder = FrameBuilder::new(3);
        builder.start_row(7, 100);
        let load = builder.add_column(0, FieldType::F64);
        builder.set(load, Value::F64(-0.0));
        builder.start_row(8, 50);
        let note = builder.add_column(1, FieldType::Str);
        builder.set(note, Value::Str("first"));
        builder.set(note, Value::Str("zweites, länger"));
        let up = builder.add_column(2, FieldType::Bool);
        builder.set(up, Value::Bool(true));
        let built = builder.finish().unwrap();
        let frame = Frame::parse(built.bytes().clone()).unwrap();

        assert_eq!((frame.table, frame.rows, frame.min_time, frame.max_time), (3, 2, 50, 100));
        assert_eq!((frame.series(), frame.times()), (&[7, 8][..], &[100, 50][..]));
        let load = frame.column(0).unwrap();
        assert_eq!(load.as_primitive::<types::Float64Type>().value(0).to_bits(), (-0.0f64).to_bits());
        assert!(load.is_null(1));
        assert_eq!(frame.column(1).unwrap().as_string::<i32>().value(1), "zweites, länger");
        assert!(frame.column(1).unwrap().is_null(0));
        assert!(frame.column(2).unwrap().as_boolean().value(1));
        assert!(frame.column(9).is_none());
    }

    proptest::proptest! {
        /// Bytes with a right checksum but any content (an attacker, a bug) are refused or readable, never a panic.
        #[test]
        fn any_bytes_parse_or_are_refused(mut body in proptest::collection::vec(proptest::num::u8::ANY, 16..400),
                                          rows in 0u32..20, count in 0u32..4, kind in 0u8..7) {
            body[..HEADER_BYTES].fill(0);
            if body.len() >= HEADER_BYTES + FRAME_HEADER_BYTES + COLUMN_BYTES {
                body[20..24].copy_from_slice(&rows.to_le_bytes());
                body[24..28].copy_from_slice(&count.to_le_bytes());
                body[HEADER_BYTES + FRAME_HEADER_BYTES + 4] = kind;
            }
            let bytes = aligned::<()>(body.len(), |to| { to.copy_from_slice(&body); Ok(()) }).unwrap();
            if let Ok(frame) = Frame::parse(bytes) {
                let fields: Vec<_> = frame.fields().collect();
                for (field, _) in fields {
                    let column = frame.column(field).unwrap();
                    proptest::prop_assert_eq!(column.len(), frame.rows);
                }
                proptest::prop_assert_eq!(frame.series().len(), frame.times().len());
            }
        }
    }
}
