//! `plan`: what serving would change in the catalog.

use crate::bronze::envelope;
use crate::error::{Error, Result};
use crate::kafka::inspect;
use crate::pipeline::Pipeline;
use crate::settings::Settings;

use super::{contracts, print};

/// Compares every table of the pipelines with the catalog. A catalog that is not there yet has none of them.
pub(super) async fn run(settings: &Settings, pipelines: &[Pipeline]) -> Result<()> {
    let mut text = String::new();
    let mut known = Vec::new();
    let exists = settings.lake.catalog.exists();
    let catalog = match exists {
        true => Some(crate::lake::open(&settings.lake.catalog, &settings.lake.warehouse).await?),
        false => {
            text += &format!("+ {} (catalog)\n", settings.lake.catalog.display());
            None
        }
    };
    for pipeline in pipelines {
        crate::silver::check(pipeline)?;
        for contract in contracts(pipeline)? {
            if known.contains(&contract.to_string()) {
                continue;
            }
            known.push(contract.to_string());
            let table = match &catalog {
                None => None,
                Some(catalog) => load(catalog.as_ref(), &contract.ident()).await?,
            };
            text += &match table.map(|table| contract.check(table.metadata())) {
                None => format!("+ {contract} ({} columns)\n", contract.columns().len()),
                Some(Ok(())) => format!("= {contract}\n"),
                Some(Err(Error::Differs {
                    aspect,
                    found,
                    expected,
                    ..
                })) => format!("! {contract}: {aspect} are {found}; the pipeline says {expected}\n"),
                Some(Err(other)) => return Err(other),
            };
        }
        for model in &pipeline.document().gold {
            let ident = iceberg::TableIdent::new(crate::zone::Zone::Gold.namespace(), model.name.clone());
            let there = match &catalog {
                None => false,
                Some(catalog) => load(catalog.as_ref(), &ident).await?.is_some(),
            };
            text += &format!("{} gold.{}\n", if there { "=" } else { "+" }, model.name);
        }
        if let Some(kafka) = pipeline.document().source.kafka() {
            let bronze = match &catalog {
                None => None,
                Some(catalog) => load(catalog.as_ref(), &envelope::contract(pipeline)?.ident()).await?,
            };
            let metadata = bronze.as_ref().map(iceberg::table::Table::metadata);
            text += &inspect::plan(pipeline.name(), kafka, metadata).await;
        }
    }
    print(&text)
}

async fn load(
    catalog: &dyn iceberg::Catalog,
    ident: &iceberg::TableIdent,
) -> Result<Option<iceberg::table::Table>> {
    match catalog.load_table(ident).await {
        Ok(table) => Ok(Some(table)),
        Err(error) if error.kind() == iceberg::ErrorKind::TableNotFound => Ok(None),
        Err(error) => Err(crate::commit::failed("load", ident, error)),
    }
}
