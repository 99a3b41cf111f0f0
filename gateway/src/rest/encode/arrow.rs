//! Rows as an Arrow IPC stream. The stream's own end mark stands at the end; a body that broke off lacks it.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;

use crate::error::{Error, Result};
use crate::rest::encode::{Encode, End};
use crate::rest::problem::{Problem, internal};

/// An Arrow IPC stream in the making.
pub(super) struct Arrow {
    schema: SchemaRef,
    writer: Option<StreamWriter<Vec<u8>>>,
}

impl Arrow {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        Self {
            schema: SchemaRef::clone(schema),
            writer: None,
        }
    }

    fn writer(&mut self) -> Result<&mut StreamWriter<Vec<u8>>> {
        self.writer.as_mut().ok_or_else(|| Error::Internal {
            message: "an Arrow stream without a head".to_owned(),
        })
    }
}

impl Encode for Arrow {
    fn head(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let mut writer = StreamWriter::try_new(Vec::new(), &self.schema).map_err(|error| internal(&error))?;
        out.append(writer.get_mut());
        self.writer = Some(writer);
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let writer = self.writer()?;
        writer.write(batch).map_err(|error| internal(&error))?;
        out.append(writer.get_mut());
        Ok(())
    }

    fn tail(&mut self, _end: &End<'_>, out: &mut Vec<u8>) -> Result<()> {
        let writer = self.writer()?;
        writer.finish().map_err(|error| internal(&error))?;
        out.append(writer.get_mut());
        Ok(())
    }

    fn failure(&mut self, _problem: &Problem, _out: &mut Vec<u8>) {}

    fn carries_cursor(&self) -> bool {
        false
    }

    fn piece_rows(&self) -> usize {
        usize::MAX
    }
}
