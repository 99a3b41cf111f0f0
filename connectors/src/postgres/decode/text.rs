//! Columns of text, and of types that are shown as text.

use super::{Bad, inet};
use arrow::array::{ArrayRef, StringBuilder, StringViewBuilder};
use arrow::datatypes::DataType;
use std::sync::Arc;
use tokio_postgres::types::{Kind, Type};

/// A column of text.
#[derive(Debug)]
pub(super) struct TextColumn {
    form: Form,
    out: Out,
    scratch: String,
}

/// How the server writes the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As the text itself.
    Plain,
    /// As a version and the text.
    Jsonb,
    Uuid,
    Address,
    Mac,
}

#[derive(Debug)]
enum Out {
    View(StringViewBuilder),
    Plain(StringBuilder),
}

impl TextColumn {
    pub(super) fn new(arrow: &DataType, server: &Type) -> Option<Self> {
        let form = match *server {
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::JSON => Form::Plain,
            Type::JSONB => Form::Jsonb,
            Type::UUID => Form::Uuid,
            Type::INET | Type::CIDR => Form::Address,
            Type::MACADDR | Type::MACADDR8 => Form::Mac,
            _ if matches!(server.kind(), Kind::Enum(_)) => Form::Plain,
            _ => return None,
        };
        let out = match arrow {
            DataType::Utf8View => Out::View(StringViewBuilder::new()),
            DataType::Utf8 => Out::Plain(StringBuilder::new()),
            _ => return None,
        };
        Some(Self {
            form,
            out,
            scratch: String::new(),
        })
    }

    pub(super) fn push(&mut self, raw: &[u8]) -> Result<(), Bad> {
        let plain = match self.form {
            Form::Plain => raw,
            Form::Jsonb => match raw.split_first() {
                Some((1, text)) => text,
                _ => return Err(Bad::Shape("a jsonb of an unknown version")),
            },
            Form::Uuid | Form::Address | Form::Mac => {
                self.scratch.clear();
                match self.form {
                    Form::Uuid => inet::uuid(raw, &mut self.scratch)?,
                    Form::Address => inet::address(raw, &mut self.scratch)?,
                    _ => inet::mac(raw, &mut self.scratch)?,
                }
                self.out.push(&self.scratch);
                return Ok(());
            }
        };
        let text = std::str::from_utf8(plain).map_err(|_| Bad::Shape("a text that is not UTF-8"))?;
        self.out.push(text);
        Ok(())
    }

    pub(super) fn push_null(&mut self) {
        match &mut self.out {
            Out::View(b) => b.append_null(),
            Out::Plain(b) => b.append_null(),
        }
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        match &mut self.out {
            Out::View(b) => Arc::new(b.finish()),
            Out::Plain(b) => Arc::new(b.finish()),
        }
    }
}

impl Out {
    fn push(&mut self, text: &str) {
        match self {
            Self::View(b) => b.append_value(text),
            Self::Plain(b) => b.append_value(text),
        }
    }
}
