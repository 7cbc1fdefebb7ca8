//! The store's schemas and tables, as DataFusion looks them up.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::Result;
use domain::reserved;
use tsdb::{DEFAULT_SCHEMA, Store, TableInfo};

use crate::tables::known;
use crate::tables::store_table::StoreTable;
use crate::tables::system::{SYSTEM_SCHEMA, SystemSchema, SystemTable};
use crate::tables::views::{self, StateOf};

/// The one catalogue of a session: the store.
pub(crate) struct StoreCatalog {
    pub store: Arc<Store>,
    pub system: Arc<[SystemTable]>,
    /// For planning views.
    pub state: Arc<StateOf>,
}

impl std::fmt::Debug for StoreCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreCatalog")
    }
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
        let (store, state) = (self.store.clone(), self.state.clone());
        known.then(|| Arc::new(StoreSchema { store, name: name.into(), state }) as _)
    }
}

/// The stored table that a name in SQL means. A view has its name for itself: what an earlier version let agents write
/// there has another one.
pub(crate) fn stored_table(store: &Store, schema: &str, name: &str) -> Option<TableInfo> {
    let measurement = reserved::measurement(name)?;
    let of_old = || (measurement != name).then(|| store.table(schema, measurement)).flatten();
    store.table(schema, name).or_else(of_old)
}

/// The measurements of one schema, and what is always there.
struct StoreSchema {
    store: Arc<Store>,
    name: String,
    state: Arc<StateOf>,
}

impl std::fmt::Debug for StoreSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSchema").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl SchemaProvider for StoreSchema {
    fn table_names(&self) -> Vec<String> {
        let stored = self.store.tables().filter(|(schema, _)| *schema == self.name).map(|(_, name)| name);
        let ready = known::names().chain(views::names()).map(str::to_owned);
        let names: BTreeSet<String> = stored.map(reserved::sql_name).chain(ready).collect();
        names.into_iter().collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(info) = stored_table(&self.store, &self.name, name) {
            return known::complete(StoreTable { store: self.store.clone(), info }).map(Some);
        }
        match known::empty(name) {
            Some(table) => Ok(Some(table)),
            None => views::view(name, &self.name, &self.store, &self.state).await,
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        let is_ready = known::names().chain(views::names()).any(|known| known == name);
        is_ready || stored_table(&self.store, &self.name, name).is_some()
    }
}
