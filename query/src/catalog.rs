//! The store's schemas and tables, as DataFusion looks them up.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::Result;
use tsdb::{DEFAULT_SCHEMA, Store};

use crate::table::StoreTable;

/// The one catalogue of a session: the store.
#[derive(Debug)]
pub(crate) struct StoreCatalog {
    pub store: Arc<Store>,
}

impl CatalogProvider for StoreCatalog {
    fn schema_names(&self) -> Vec<String> {
        let mut names: BTreeSet<String> = self.store.tables().into_iter().map(|table| table.schema).collect();
        names.insert(DEFAULT_SCHEMA.into());
        names.into_iter().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let known = self.schema_names().iter().any(|schema| schema == name);
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
        let tables = self.store.tables().into_iter().filter(|table| table.schema == self.name);
        tables.map(|table| table.name).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let info = self.store.table(&self.name, name);
        Ok(info.map(|info| Arc::new(StoreTable { store: self.store.clone(), info }) as _))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.store.table(&self.name, name).is_some()
    }
}
