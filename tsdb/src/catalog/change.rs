//! A change of the catalogue: one step of its growth, as its log has it.

use crate::base::value::FieldType;
use crate::codec::leb128;

/// One step of growth, as the catalogue's log has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change<'a> {
    Table {
        schema: &'a str,
        name: &'a str,
    },
    Tag {
        table: u32,
        name: &'a str,
    },
    Field {
        table: u32,
        kind: FieldType,
        name: &'a str,
    },
    TagValue {
        table: u32,
        tag: u32,
        value: &'a str,
    },
    Series {
        table: u32,
        codes: &'a [u32],
    },
    /// Its name is free again, its number is not.
    TableDropped {
        table: u32,
    },
    /// The same of a field.
    FieldDropped {
        table: u32,
        field: u32,
    },
}

/// Kinds of changes are numbered from here; format version 1 had the same five from 1, with numbers of four bytes.
const FIRST_KIND: u8 = 6;

impl<'a> Change<'a> {
    /// Appends the change: a kind byte, numbers as LEB128, then the texts or the codes with their length before them.
    /// A code is written as one more than it is, an absent one as 0.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |kind: u8, numbers: &[u32], texts: &[&str]| {
            out.push(FIRST_KIND + kind);
            numbers.iter().for_each(|number| leb128::write((*number).into(), out));
            for text in texts {
                leb128::write(text.len() as u64, out);
                out.extend(text.as_bytes());
            }
        };
        match *self {
            Change::Table { schema, name } => put(0, &[], &[schema, name]),
            Change::Tag { table, name } => put(1, &[table], &[name]),
            Change::Field { table, kind, name } => put(2, &[table, kind as u32], &[name]),
            Change::TagValue { table, tag, value } => put(3, &[table, tag], &[value]),
            Change::Series { table, codes } => {
                put(4, &[table, codes.len() as u32], &[]);
                codes.iter().for_each(|code| leb128::write(code.wrapping_add(1).into(), out));
            }
            Change::TableDropped { table } => put(5, &[table], &[]),
            Change::FieldDropped { table, field } => put(6, &[table, field], &[]),
        }
    }

    /// Reads the changes of a block one by one and gives each to `take`.
    pub(crate) fn decode_all(
        mut bytes: &'a [u8],
        mut take: impl FnMut(Change<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut codes = Vec::new();
        while let Some((kind, rest)) = bytes.split_first() {
            bytes = rest;
            let is_version_1 = *kind < FIRST_KIND;
            let number = if is_version_1 { number_of_version_1 } else { number };
            let text = |bytes: &mut &'a [u8]| {
                let length = number(bytes)? as usize;
                let (text, rest) = bytes.split_at_checked(length).ok_or("a text runs past the end")?;
                *bytes = rest;
                std::str::from_utf8(text).map_err(|error| error.to_string())
            };
            match if is_version_1 { kind.wrapping_sub(1) } else { kind - FIRST_KIND } {
                0 => take(Change::Table { schema: text(&mut bytes)?, name: text(&mut bytes)? })?,
                1 => take(Change::Tag { table: number(&mut bytes)?, name: text(&mut bytes)? })?,
                2 => {
                    let (table, kind) = (number(&mut bytes)?, number(&mut bytes)?);
                    let known = u8::try_from(kind).ok().and_then(FieldType::from_u8);
                    let kind = known.ok_or_else(|| format!("unknown field type {kind}"))?;
                    take(Change::Field { table, kind, name: text(&mut bytes)? })?;
                }
                3 => {
                    let (table, tag) = (number(&mut bytes)?, number(&mut bytes)?);
                    take(Change::TagValue { table, tag, value: text(&mut bytes)? })?;
                }
                4 => {
                    let (table, count) = (number(&mut bytes)?, number(&mut bytes)?);
                    codes.clear();
                    for _ in 0..count {
                        let code = number(&mut bytes)?;
                        codes.push(if is_version_1 { code } else { code.wrapping_sub(1) });
                    }
                    take(Change::Series { table, codes: &codes })?;
                }
                5 if !is_version_1 => take(Change::TableDropped { table: number(&mut bytes)? })?,
                6 if !is_version_1 => {
                    take(Change::FieldDropped { table: number(&mut bytes)?, field: number(&mut bytes)? })?;
                }
                _ => return Err(format!("unknown change {kind}")),
            }
        }
        Ok(())
    }
}

fn number(bytes: &mut &[u8]) -> Result<u32, String> {
    u32::try_from(leb128::read(bytes)?).map_err(|error| error.to_string())
}

fn number_of_version_1(bytes: &mut &[u8]) -> Result<u32, String> {
    let (number, rest) = bytes.split_first_chunk().ok_or("a number runs past the end")?;
    *bytes = rest;
    Ok(u32::from_le_bytes(*number))
}
