//! Any JSON as a tree in an arena: nothing else is allocated, however many rows a text has.

use std::fmt;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value of JSON. Texts are borrowed where they have no escapes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    I64(i64),
    /// Above the largest `i64`.
    U64(u64),
    F64(f64),
    Text(&'a str),
    List(&'a [Json<'a>]),
    /// Names and values as they stand, doubles included.
    Object(&'a [(&'a str, Json<'a>)]),
}

impl<'a> Json<'a> {
    /// The tree of a text; serde_json refuses what is over 128 lists deep.
    pub(crate) fn parse(text: &'a [u8], arena: &'a Bump) -> Result<Json<'a>, String> {
        let mut input = serde_json::Deserializer::from_slice(text);
        let tree = Tree(arena).deserialize(&mut input).and_then(|tree| input.end().map(|()| tree));
        tree.map_err(|error| error.to_string())
    }

    /// What an object has under a name, the last where there are several; null if it has nothing, or is no object.
    pub(crate) fn get(self, name: &str) -> Json<'a> {
        let Json::Object(pairs) = self else { return Json::Null };
        pairs.iter().rev().find(|(known, _)| *known == name).map_or(Json::Null, |(_, value)| *value)
    }

    /// What it is, in words.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::I64(_) | Json::U64(_) | Json::F64(_) => "a number",
            Json::Text(_) => "a text",
            Json::List(_) => "a list",
            Json::Object(_) => "an object",
        }
    }
}

/// Makes a tree in an arena.
#[derive(Clone, Copy)]
struct Tree<'a>(&'a Bump);

impl<'de: 'a, 'a> DeserializeSeed<'de> for Tree<'a> {
    type Value = Json<'a>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Json<'a>, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Tree<'a> {
    type Value = Json<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Json<'a>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'a>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'a>, E> {
        Ok(Json::I64(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'a>, E> {
        Ok(i64::try_from(value).map_or(Json::U64(value), Json::I64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'a>, E> {
        Ok(Json::F64(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'a>, E> {
        Ok(Json::Text(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'a>, E> {
        Ok(Json::Text(self.0.alloc_str(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json<'a>, A::Error> {
        let mut values = BumpVec::new_in(self.0);
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Json::List(values.into_bump_slice()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'a>, A::Error> {
        let mut pairs = BumpVec::new_in(self.0);
        while let Some(name) = map.next_key_seed(self)? {
            let Json::Text(name) = name else { unreachable!("the names of JSON's objects are texts") };
            pairs.push((name, map.next_value_seed(self)?));
        }
        Ok(Json::Object(pairs.into_bump_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_borrows_what_it_can() {
        let arena = Bump::new();
        let text = r#" {"a":[1,-2,18446744073709551615,2.5,null,true],"b":"x","b":"\u00e4"} "#;
        let tree = Json::parse(text.as_bytes(), &arena).unwrap();
        assert!(matches!(tree.get("b"), Json::Text("ä")), "the last of a name counts");
        let Json::List(list) = tree.get("a") else { panic!("{tree:?}") };
        assert!(matches!(
            list,
            [Json::I64(1), Json::I64(-2), Json::U64(u64::MAX), Json::F64(2.5), Json::Null, Json::Bool(true)]
        ));
        assert!(matches!(tree.get("c"), Json::Null));
        assert!(Json::parse(b"{} {}", &arena).unwrap_err().contains("trailing"));
        assert!(Json::parse("[".repeat(1000).as_bytes(), &arena).unwrap_err().contains("recursion"));
    }
}
