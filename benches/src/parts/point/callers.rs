//! The calls under load: each a whole question as a client asks it, and each answer checked.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow_flight::FlightDescriptor;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::CommandGetTables;
use arrow_flight::sql::client::PreparedStatement;
use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tonic::transport::Channel;

use super::Target;
use crate::flight::{Flight, channel, query, read};
use crate::load::{Caller, Callers};
use crate::random::Random;

/// Connections that are opened at a time.
const OPENING: usize = 16;

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A statement with the key in its text: GetFlightInfo, DoGet.
    AdHoc,
    /// A prepared statement: DoPut of the key, GetFlightInfo, DoGet.
    Prepared,
    /// A list of tables: GetFlightInfo, DoGet.
    Tables,
    /// One unary call of the floor.
    Floor,
}

/// Callers of one kind, each with a connection of its own.
pub(super) async fn open(target: &Target, kind: Kind, count: usize) -> Result<Callers> {
    let opened = stream::iter(0..count).map(|number| caller(target, kind, number as u64));
    opened.buffer_unordered(OPENING).try_collect().await
}

async fn caller(target: &Target, kind: Kind, number: u64) -> Result<Box<dyn Caller>> {
    let keys = Keys {
        all: Arc::clone(&target.keys),
        random: Random::new(target.seed, number),
    };
    Ok(match kind {
        Kind::Floor => Box::new(Unary(FlightServiceClient::new(
            channel(&target.floor.address).await?,
        ))),
        Kind::AdHoc => Box::new(AdHoc {
            client: target.gateway.connect().await?,
            keys,
        }),
        Kind::Tables => Box::new(Tables(target.gateway.connect().await?)),
        Kind::Prepared => {
            let mut client = target.gateway.connect().await?;
            let sql = "SELECT * FROM orders WHERE o_orderkey = $1".to_owned();
            let statement = client.prepare(sql, None).await?;
            Box::new(Prepared {
                client,
                statement,
                keys,
            })
        }
    })
}

/// All keys of the table in `rows`, whose only column they are.
pub(super) fn keys(rows: &[RecordBatch]) -> Result<Vec<i64>> {
    let mut all = Vec::new();
    for batch in rows {
        let column = batch
            .column(0)
            .as_primitive_opt::<Int64Type>()
            .context("a key is 64 bits wide")?;
        all.extend(column.values());
    }
    Ok(all)
}

#[derive(Debug)]
struct Keys {
    all: Arc<[i64]>,
    random: Random,
}

impl Keys {
    fn next(&mut self) -> Result<i64> {
        self.random.one_of(&self.all).context("the table has no rows")
    }
}

/// Whether `rows` are the one row with `key`.
fn check(rows: &[RecordBatch], key: i64) -> Result<()> {
    let found = keys(rows)?;
    if found != [key] {
        bail!("asked for the order {key}, got {found:?}");
    }
    Ok(())
}

struct AdHoc {
    client: Flight,
    keys: Keys,
}

#[async_trait]
impl Caller for AdHoc {
    async fn call(&mut self) -> Result<()> {
        let key = self.keys.next()?;
        let rows = query(
            &mut self.client,
            &format!("SELECT * FROM orders WHERE o_orderkey = {key}"),
        )
        .await?;
        check(&rows, key)
    }
}

struct Prepared {
    client: Flight,
    statement: PreparedStatement<Channel>,
    keys: Keys,
}

#[async_trait]
impl Caller for Prepared {
    async fn call(&mut self) -> Result<()> {
        let key = self.keys.next()?;
        let values = Arc::new(Int64Array::from(vec![key])) as ArrayRef;
        self.statement
            .set_parameters(RecordBatch::try_from_iter([("$1", values)])?)?;
        let info = self.statement.execute().await?;
        let mut rows = Vec::new();
        for endpoint in info.endpoint {
            let ticket = endpoint.ticket.context("an endpoint without a ticket")?;
            read(&mut self.client, ticket, &mut rows).await?;
        }
        check(&rows, key)
    }
}

struct Tables(Flight);

#[async_trait]
impl Caller for Tables {
    async fn call(&mut self) -> Result<()> {
        let request = CommandGetTables {
            include_schema: false,
            ..CommandGetTables::default()
        };
        let info = self.0.get_tables(request).await?;
        let mut rows: Vec<RecordBatch> = Vec::new();
        for endpoint in info.endpoint {
            let ticket = endpoint.ticket.context("an endpoint without a ticket")?;
            read(&mut self.0, ticket, &mut rows).await?;
        }
        match rows.iter().map(RecordBatch::num_rows).sum::<usize>() {
            0 => bail!("no tables"),
            _ => Ok(()),
        }
    }
}

struct Unary(FlightServiceClient<Channel>);

#[async_trait]
impl Caller for Unary {
    async fn call(&mut self) -> Result<()> {
        let descriptor = FlightDescriptor::new_cmd("SELECT * FROM orders WHERE o_orderkey = 1");
        self.0.get_flight_info(descriptor).await?;
        Ok(())
    }
}
