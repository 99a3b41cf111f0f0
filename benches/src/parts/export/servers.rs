//! Everybody who exports: started together, so that all rounds go over all of them, and stopped together.

use anyhow::{Result, anyhow};
use arrow::datatypes::SchemaRef;

use super::{SQL, TABLE};
use crate::flight::{Digested, Export};
use crate::parts::Run;
use crate::peers::decode::Decode;
use crate::peers::echo::Echo;
use crate::peers::floor::{Encoding, Floor};
use crate::peers::gateway::{Gateway, streams};
use crate::peers::roapi::{Roapi, Rows};
use crate::peers::sail::Sail;
use crate::rest::{Form, RestExport};

pub(super) const ALL: &str = "gateway, all endpoints";
pub(super) const ONE: &str = "gateway, 1 stream";
pub(super) const REST_ARROW: &str = "gateway REST, Arrow";
pub(super) const REST_JSON: &str = "gateway REST, JSON";
pub(super) const FLOOR_ONE: &str = "bare arrow-flight, 1 stream";
pub(super) const FLOOR_ALL: &str = "bare arrow-flight, as many streams";
pub(super) const FLOOR_KEPT: &str = "bare arrow-flight, pre-encoded, 1 stream";
pub(super) const ECHO_ONE: &str = "C++ Flight, 1 stream";
pub(super) const ECHO_ALL: &str = "C++ Flight, as many streams";
pub(super) const ROAPI_MEMORY: &str = "roapi, table in memory";
pub(super) const ROAPI_DISK: &str = "roapi, Parquet";
pub(super) const SAIL: &str = "Sail, Parquet";

/// An exporter by its name, or why it is not there.
type Entrant = (&'static str, Result<Box<dyn Digested>>);

/// The running servers. A peer that did not start keeps its reason.
#[derive(Debug)]
pub(super) struct Servers {
    gateway: Gateway,
    floor: Floor,
    echo: Result<Echo>,
    roapi: Result<Roapi>,
    sail: Result<Sail>,
    decode: Decode,
}

impl Servers {
    /// Starts all of them.
    pub(super) async fn start(run: &Run) -> Result<Self> {
        let (place, python) = (&run.place, &run.python);
        let gateway = Gateway::start(place).await?;
        let floor = Floor::with_rows(place, &gateway, SQL).await?;
        Ok(Self {
            echo: Echo::start(place, python, &floor).await,
            roapi: Roapi::start(place, python, TABLE).await,
            sail: Sail::start(place, python).await,
            decode: Decode::start(place, python, TABLE)?,
            gateway,
            floor,
        })
    }

    /// The decoder, which is measured but exports nothing.
    pub(super) fn decode(&mut self) -> &mut Decode {
        &mut self.decode
    }

    /// A connection, or several, to each.
    pub(super) async fn entrants(&self, run: &Run, schema: &SchemaRef) -> Result<Vec<Entrant>> {
        let (gateway, floor) = (&self.gateway, &self.floor);
        let rest = |name, form| {
            let export = RestExport::new(name, gateway.id()?, &gateway.rest, &gateway.login, SQL, form);
            anyhow::Ok(Box::new(export) as Box<dyn Digested>)
        };
        Ok(vec![
            (ALL, boxed(gateway.export(ALL, SQL).await)),
            (ONE, boxed(gateway.stream(ONE, SQL).await)),
            (REST_ARROW, rest(REST_ARROW, Form::Arrow)),
            (REST_JSON, rest(REST_JSON, Form::Json(SchemaRef::clone(schema)))),
            (
                FLOOR_ALL,
                boxed(floor.export(FLOOR_ALL, streams(), Encoding::Fresh).await),
            ),
            (
                FLOOR_ONE,
                boxed(floor.export(FLOOR_ONE, 1, Encoding::Fresh).await),
            ),
            (
                FLOOR_KEPT,
                boxed(floor.export(FLOOR_KEPT, 1, Encoding::Kept).await),
            ),
            (ECHO_ONE, boxed(self.echo(ECHO_ONE, 1).await)),
            (ECHO_ALL, boxed(self.echo(ECHO_ALL, streams()).await)),
            (
                ROAPI_MEMORY,
                boxed(self.roapi(ROAPI_MEMORY, Rows::InMemory).await),
            ),
            (ROAPI_DISK, boxed(self.roapi(ROAPI_DISK, Rows::OnDisk).await)),
            (SAIL, boxed(self.sail(run).await)),
        ])
    }

    async fn echo(&self, name: &str, streams: usize) -> Result<Export> {
        started(&self.echo)?.export(name, streams).await
    }

    async fn roapi(&self, name: &str, rows: Rows) -> Result<Export> {
        started(&self.roapi)?.export(name, rows).await
    }

    async fn sail(&self, run: &Run) -> Result<Export> {
        started(&self.sail)?.export(SAIL, &run.place, TABLE).await
    }

    /// Ends all of them.
    pub(super) async fn stop(self) -> Result<()> {
        self.decode.stop().await?;
        if let Ok(sail) = self.sail {
            sail.stop().await?;
        }
        if let Ok(roapi) = self.roapi {
            roapi.stop().await?;
        }
        if let Ok(echo) = self.echo {
            echo.stop().await?;
        }
        self.floor.stop().await?;
        self.gateway.stop().await
    }
}

/// The peer, or its reason once more.
fn started<T>(peer: &Result<T>) -> Result<&T> {
    peer.as_ref().map_err(|error| anyhow!("{error:#}"))
}

fn boxed(export: Result<Export>) -> Result<Box<dyn Digested>> {
    export.map(|export| Box::new(export) as Box<dyn Digested>)
}
