//! A change of the catalogue: one step of its growth, as its log has it.

use crate::value::FieldType;

/// One step of growth, as the catalogue's log has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change<'a> {
    Table { schema: &'a str, name: &'a str },
    Tag { table: u32, name: &'a str },
    Field { table: u32, kind: FieldType, name: &'a str },
    TagValue { table: u32, tag: u32, value: &'a str },
    Series { table: u32, codes: &'a [u32] },
}

impl<'a> Change<'a> {
    /// Appends the change: a kind byte, numbers as u32, then the text or the codes with their length before them.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |kind: u8, numbers: &[u32], texts: &[&str]| {
            out.push(kind);
            numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
            for text in texts {
                out.extend((text.len() as u32).to_le_bytes());
                out.extend(text.as_bytes());
            }
        };
        match *self {
            Change::Table { schema, name } => put(1, &[], &[schema, name]),
            Change::Tag { table, name } => put(2, &[table], &[name]),
            Change::Field { table, kind, name } => put(3, &[table, kind as u32], &[name]),
            Change::TagValue { table, tag, value } => put(4, &[table, tag], &[value]),
            Change::Series { table, codes } => {
                put(5, &[table, codes.len() as u32], &[]);
                codes.iter().for_each(|code| out.extend(code.to_le_bytes()));
            }
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
            match kind {
                1 => take(Change::Table { schema: text(&mut bytes)?, name: text(&mut bytes)? })?,
                2 => take(Change::Tag { table: number(&mut bytes)?, name: text(&mut bytes)? })?,
                3 => {
                    let (table, kind) = (number(&mut bytes)?, number(&mut bytes)?);
                    let known = u8::try_from(kind).ok().and_then(FieldType::from_u8);
                    let kind = known.ok_or_else(|| format!("unknown field type {kind}"))?;
                    take(Change::Field { table, kind, name: text(&mut bytes)? })?;
                }
                4 => {
                    let (table, tag) = (number(&mut bytes)?, number(&mut bytes)?);
                    take(Change::TagValue { table, tag, value: text(&mut bytes)? })?;
                }
                5 => {
                    let (table, count) = (number(&mut bytes)?, number(&mut bytes)?);
                    codes.clear();
                    for _ in 0..count {
                        codes.push(number(&mut bytes)?);
                    }
                    take(Change::Series { table, codes: &codes })?;
                }
                other => return Err(format!("unknown change {other}")),
            }
        }
        Ok(())
    }
}

fn number(bytes: &mut &[u8]) -> Result<u32, String> {
    let (number, rest) = bytes.split_first_chunk().ok_or("a number runs past the end")?;
    *bytes = rest;
    Ok(u32::from_le_bytes(*number))
}

fn text<'a>(bytes: &mut &'a [u8]) -> Result<&'a str, String> {
    let length = number(bytes)? as usize;
    let (text, rest) = bytes.split_at_checked(length).ok_or("a text runs past the end")?;
    *bytes = rest;
    std::str::from_utf8(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    proptest::proptest! {
        #[test]
        fn any_bytes_replay_or_are_refused(bytes in proptest::collection::vec(0u8..6, 0..200)) {
            let catalog = Catalog::new();
            let _ = Change::decode_all(&bytes, |change| catalog.replay(change));
        }
    }
}
