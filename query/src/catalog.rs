//! The store's schemas and tables, as DataFusion looks them up.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::Result;
use tsdb::{DEFAULT_SCHEMA, Store};

use crate::system::{SYSTEM_SCHEMA, SystemSchema, SystemTable};
use crate::table::StoreTable;

/// The one catalogue of a session: the store.
#[derive(Debug)]
pub(crate) struct StoreCatalog {
    pub store: Arc<Store>,
    pub system: Arc<[SystemTable]>,
}

impl CatalogProvider for StoreCatalog {
    fn schema_names(&self) -> Vec<String> {
        let used = self.store.tables().map(|(schema, _)| schema);
        let names: BTreeSet<&str> = used.chain([DEFAULT_SCHEMA, SYSTEM_SCHEMA]).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == SYSTEM_SCHEMA {
            return Some(Arc::new(SystemSchema { store: self.store.clone(), others: self.system.clone() }));
        }
        let known = name == DEFAULT_SCHEMA || self.store.tables().any(|(schema, _)| schema == name);
        known.then(|| Arc::new(StoreSchema { store: self.store.clone(), name: name.into() }) as _)
    }
}

/// The measurements of one schema.
#[derive(Debug)]
struct StoreSchema {
    store: Arc<Store>,
    name: String,
}

#[async_trait]
impl SchemaProvider for StoreSchema {
    fn table_names(&self) -> Vec<String> {
        self.store.tables().filter(|(schema, _)| *schema == self.name).map(|(_, name)| name.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let info = self.store.table(&self.name, name);
        Ok(info.map(|info| Arc::new(StoreTable { store: self.store.clone(), info }) as _))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.store.table(&self.name, name).is_some()
    }
}
