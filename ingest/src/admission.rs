//! What agents may write: everything but what only the server says, and what their token is limited to.

use std::collections::BTreeMap;

use domain::reserved;
use tsdb::Admission;

/// The rule for rows that come from outside.
///
/// ```
/// use ingest::admission::Agents;
/// use tsdb::Admission;
/// let hamburg = Agents::limited(&[], &["probe".into()], &[("location".into(), vec!["hamburg".into()])].into());
/// assert!(hamburg.check("public", "probe", &[("target", "portal"), ("location", "hamburg")]).is_ok());
/// assert!(hamburg.check("public", "probe", &[("target", "portal")]).is_err());
/// assert!(Agents::default().check("public", "maintenance", &[]).is_err());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agents {
    key: String,
    schemas: Vec<String>,
    measurements: Vec<String>,
    tags: BTreeMap<String, Vec<String>>,
}

impl Agents {
    /// Limits to schemas, to measurements, and to values that tags must have; an empty list limits nothing. A
    /// measurement that ends in `*` stands for all that begin so.
    pub fn limited(schemas: &[String], measurements: &[String], tags: &BTreeMap<String, Vec<String>>) -> Agents {
        let (schemas, measurements, tags) = (schemas.to_vec(), measurements.to_vec(), tags.clone());
        let key = format!("{schemas:?} {measurements:?} {tags:?}");
        Agents { key, schemas, measurements, tags }
    }
}

impl Admission for Agents {
    fn key(&self) -> &str {
        &self.key
    }

    fn check(&self, schema: &str, measurement: &str, tags: &[(&str, &str)]) -> Result<(), String> {
        if let Some(reserved) = reserved(measurement) {
            return Err(reserved.to_string());
        }
        let limited = |what: &str, to: &[String]| Err(format!("the token is limited to the {what} {}", to.join(", ")));
        if !self.schemas.is_empty() && !self.schemas.iter().any(|own| own == schema) {
            return limited("schemas", &self.schemas);
        }
        let is_meant = |own: &String| match own.strip_suffix('*') {
            Some(start) => measurement.starts_with(start),
            None => own == measurement,
        };
        if !self.measurements.is_empty() && !self.measurements.iter().any(is_meant) {
            return limited("measurements", &self.measurements);
        }
        for (tag, values) in &self.tags {
            let value = tags.iter().find(|(name, _)| name == tag).map_or("", |(_, value)| value);
            if !values.iter().any(|own| own == value) {
                return limited(&format!("values of the tag {tag}:"), values);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_speaks_for_what_it_is_limited_to() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let tags = BTreeMap::from([("location".to_owned(), texts(&["hamburg", "bremen"]))]);
        let rule = Agents::limited(&texts(&["north"]), &texts(&["probe", "node_*"]), &tags);
        let hamburg = &[("location", "hamburg")][..];
        for (schema, measurement, tags, refused) in [
            ("north", "probe", hamburg, ""),
            ("north", "node_load1", &[("location", "bremen")], ""),
            ("public", "probe", hamburg, "limited to the schemas north"),
            ("north", "node", hamburg, "limited to the measurements probe, node_*"),
            ("north", "probe", &[("location", "berlin")], "limited to the values of the tag location: hamburg, bremen"),
            ("north", "probe", &[("Location", "hamburg")], "limited to the values of the tag location"),
            ("north", "probe", &[], "limited to the values of the tag location"),
            // What the server says is closed whatever a token says.
            ("north", "maintenance", hamburg, "only the server writes"),
        ] {
            match rule.check(schema, measurement, tags) {
                Ok(()) => assert_eq!(refused, "", "{schema} {measurement} {tags:?}"),
                Err(reason) => assert!(!refused.is_empty() && reason.contains(refused), "{reason}"),
            }
        }
    }
}
