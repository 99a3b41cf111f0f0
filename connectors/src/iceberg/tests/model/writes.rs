//! Random changes to the table and to its model alike.

use super::{Case, Cell, Column, Dice, Kind, Row};
use crate::iceberg::fixture::deletes::{Live, field};
use crate::iceberg::fixture::{Lake, schema};
use ::iceberg::spec::{
    DataContentType, FormatVersion, Literal, NestedField, NestedFieldRef, PrimitiveType, Transform, Type,
    UnboundPartitionSpec,
};
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::{BTreeMap, BTreeSet};

impl Kind {
    fn iceberg(self) -> PrimitiveType {
        match self {
            Self::Int => PrimitiveType::Int,
            Self::Long => PrimitiveType::Long,
            Self::Text => PrimitiveType::String,
        }
    }

    pub(super) fn arrow(self) -> DataType {
        match self {
            Self::Int => DataType::Int32,
            Self::Long => DataType::Int64,
            Self::Text => DataType::Utf8,
        }
    }
}

impl Cell {
    pub(super) fn sql(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => format!("'{text}'"),
        }
    }
}

impl Column {
    fn iceberg(&self) -> NestedFieldRef {
        let plain = NestedField::optional(self.id, &self.name, Type::Primitive(self.kind.iceberg()));
        let default = match (&self.default, self.kind) {
            (Cell::Null, _) => return plain.into(),
            (Cell::Number(number), Kind::Int) => Literal::int(*number as i32),
            (Cell::Number(number), _) => Literal::long(*number),
            (Cell::Text(text), _) => Literal::string(text),
        };
        plain.with_initial_default(default).into()
    }

    fn sql(&self, cell: &Cell) -> String {
        format!("arrow_cast({}, '{}')", cell.sql(), self.kind.arrow())
    }
}

/// How a table may be partitioned, by its columns 2 (a number) and 3 (a text).
fn spec(dice: &mut Dice) -> Vec<(i32, Transform)> {
    let one = match dice.below(8) {
        0 => (2, Transform::Identity),
        1 => (2, Transform::Bucket(3)),
        2 => (2, Transform::Truncate(4)),
        3 => (3, Transform::Identity),
        4 => (3, Transform::Truncate(2)),
        _ => return Vec::new(),
    };
    vec![one]
}

impl Case {
    pub(super) async fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut lake = Lake::new().await;
        lake.group_rows = *dice.pick(&[5, 10, 500]);
        let column = |id, kind| Column {
            id,
            name: if id == 1 {
                "rid".to_owned()
            } else {
                format!("c{id}")
            },
            kind,
            default: Cell::Null,
        };
        let kinds = [Kind::Int, Kind::Long, Kind::Text];
        let columns = vec![
            column(1, Kind::Long),
            column(2, *dice.pick(&kinds[..2])),
            column(3, Kind::Text),
            column(4, *dice.pick(&kinds)),
        ];
        let third = dice.one_in(2);
        let version = if third {
            FormatVersion::V3
        } else {
            FormatVersion::V2
        };
        let by = spec(&mut dice);
        lake.create_version("t", schema(columns.iter().map(Column::iceberg)), &by, version)
            .await;
        let names = columns
            .iter()
            .map(|c| format!(r#"{{"field-id":{},"names":["{}"]}}"#, c.id, c.name));
        let mapping = format!("[{}]", names.collect::<Vec<_>>().join(","));
        let mapping = [("schema.name-mapping.default".to_owned(), mapping)];
        lake.change("t", |metadata| metadata.set_properties(mapping.into()).unwrap())
            .await;
        let mut case = Self {
            seed,
            dice,
            lake,
            third,
            columns,
            rows: BTreeMap::new(),
            ever: Vec::new(),
            vectored: Vec::new(),
            next_row: 0,
            next_id: 5,
            past: Vec::new(),
            story: vec![format!("partitioned by {by:?}")],
        };
        case.append().await;
        case
    }

    /// One random change.
    pub(super) async fn write(&mut self) {
        if self.dice.one_in(3) {
            let version = self.lake.table("t", None).await.version;
            self.past.push((version, self.columns.clone(), self.rows.clone()));
        }
        match self.dice.below(10) {
            0 | 1 => self.append().await,
            2 => self.add_foreign().await,
            3 | 4 => self.delete_by_position().await,
            5 | 6 => self.delete_by_key().await,
            7 if self.third => self.delete_by_vector().await,
            7 | 8 => self.evolve().await,
            _ => self.repartition().await,
        }
    }

    fn new_rows(&mut self, of: &[Column]) -> Vec<BTreeMap<i32, Cell>> {
        let count = 1 + self.dice.below(30);
        let mut rows = Vec::new();
        for _ in 0..count {
            let mut row = BTreeMap::new();
            for column in of {
                row.insert(column.id, self.dice.cell(column.kind));
            }
            row.insert(1, Cell::Number(self.next_row));
            self.next_row += 1;
            rows.push(row);
        }
        rows
    }

    fn query(of: &[Column], rows: &[BTreeMap<i32, Cell>]) -> String {
        let row = |row: &BTreeMap<i32, Cell>| {
            let cells = of.iter().map(|column| column.sql(&row[&column.id]));
            format!("({})", cells.collect::<Vec<_>>().join(", "))
        };
        format!("VALUES {}", rows.iter().map(row).collect::<Vec<_>>().join(", "))
    }

    async fn append(&mut self) {
        let columns = self.columns.clone();
        let rows = self.new_rows(&columns);
        self.lake.append("t", &Self::query(&columns, &rows)).await;
        self.story.push(format!("append {} rows", rows.len()));
        self.learn(rows).await;
    }

    /// Rows in a file as another writer leaves it: without ids, under first names, without the partition's column.
    async fn add_foreign(&mut self) {
        let first: Vec<Column> = self
            .columns
            .iter()
            .filter(|column| column.id < 5)
            .cloned()
            .collect();
        let loaded = self.lake.load("t").await;
        let spec = loaded.metadata().default_partition_spec();
        let by = spec
            .fields()
            .first()
            .map(|field| (field.source_id, field.transform));
        let mut held: Vec<Column> = first.iter().rev().cloned().collect();
        let mut rows = self.new_rows(&first);
        let mut values = Vec::new();
        match by {
            None => {}
            Some((id, Transform::Identity)) if first.iter().any(|column| column.id == id) => {
                let column = first.iter().find(|column| column.id == id).unwrap().clone();
                let value = self.dice.cell(column.kind);
                rows.iter_mut()
                    .for_each(|row| drop(row.insert(id, value.clone())));
                held.retain(|column| column.id != id);
                values.push(match (value, column.kind) {
                    (Cell::Null, _) => None,
                    (Cell::Number(number), Kind::Int) => Some(Literal::int(number as i32)),
                    (Cell::Number(number), _) => Some(Literal::long(number)),
                    (Cell::Text(text), _) => Some(Literal::string(text)),
                });
            }
            Some(_) => return,
        }
        let name = |column: &Column| {
            if column.id == 1 {
                "rid".to_owned()
            } else {
                format!("c{}", column.id)
            }
        };
        let fields = held
            .iter()
            .map(|column| field(0, &name(column), column.kind.arrow()));
        let file = self
            .lake
            .write_query("t", fields.collect(), &Self::query(&held, &rows))
            .await;
        let mut file = file.file(DataContentType::Data);
        file.partition(values.into_iter().collect());
        self.lake.commit_files("t", vec![file.build().unwrap()]).await;
        self.story
            .push(format!("add a file of {} rows without ids", rows.len()));
        self.learn(rows).await;
    }

    /// Finds where new rows have gone.
    async fn learn(&mut self, rows: Vec<BTreeMap<i32, Cell>>) {
        let mut rows: BTreeMap<i64, BTreeMap<i32, Cell>> =
            rows.into_iter().map(|row| (number(&row[&1]), row)).collect();
        for live in self.lake.live("t").await {
            let file = std::fs::File::open(&live.location).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                .unwrap()
                .build()
                .unwrap();
            let mut place = 0;
            for batch in reader {
                let batch = batch.unwrap();
                for id in batch
                    .column_by_name("rid")
                    .unwrap()
                    .as_primitive::<Int64Type>()
                    .values()
                {
                    if let Some(cells) = rows.remove(id) {
                        let file = live.location.clone();
                        self.ever.push((file.clone(), place, *id));
                        self.rows.insert(*id, Row { cells, file });
                    }
                    place += 1;
                }
            }
        }
        assert!(
            rows.is_empty(),
            "seed {}: rows {rows:?} are in no file",
            self.seed
        );
    }

    async fn delete_by_position(&mut self) {
        let files = self.lake.live("t").await;
        let spec = self.lake.load("t").await.metadata().default_partition_spec_id();
        let first = self.dice.pick(&files).clone();
        let mut pairs = Vec::new();
        for (file, place, id) in &self.ever {
            let named = *file == first.location;
            let same = files.iter().any(|live| {
                live.location == *file && live.spec == first.spec && live.partition == first.partition
            });
            // A file for many data files stands for one partition of the newest spec.
            let wanted = named || (same && first.spec == spec);
            if wanted && !self.vectored.contains(file) && self.dice.one_in(3) {
                pairs.push((file.clone(), *place as i64, *id));
            }
        }
        if pairs.is_empty() {
            return;
        }
        let written: Vec<(&str, i64)> = pairs
            .iter()
            .map(|(file, place, _)| (file.as_str(), *place))
            .collect();
        let written = self.lake.write_positions("t", &written);
        let mut file = written.file(DataContentType::PositionDeletes);
        if first.spec == spec {
            file.partition(first.partition.clone());
        } else {
            file.referenced_data_file(Some(first.location.clone()));
            file.partition(self.any_partition().await);
        }
        self.lake
            .commit_deletes("t", vec![(file.build().unwrap(), -1)])
            .await;
        self.story
            .push(format!("delete {} rows by position", pairs.len()));
        pairs.iter().for_each(|(_, _, id)| drop(self.rows.remove(id)));
    }

    /// Values that fit the newest spec, for a delete file that does not stand for a partition.
    async fn any_partition(&self) -> ::iceberg::spec::Struct {
        let loaded = self.lake.load("t").await;
        let fields = loaded.metadata().default_partition_spec().fields().len();
        std::iter::repeat_n(None, fields).collect()
    }

    async fn delete_by_vector(&mut self) {
        let files = self.lake.live("t").await;
        let files: Vec<&Live> = files
            .iter()
            .filter(|file| !self.vectored.contains(&file.location))
            .collect();
        if files.is_empty() {
            return;
        }
        let location = self.dice.pick(&files).location.clone();
        let mut places = BTreeSet::new();
        for (file, place, id) in self.ever.iter().filter(|(file, ..)| *file == location) {
            // Deletes by position before now must be in the vector too: it takes their place. Those by key need not be.
            let dead = !self.rows.contains_key(id);
            if dead || self.dice.one_in(3) {
                places.insert(*place);
                self.rows.remove(id);
            }
            assert_eq!(*file, location);
        }
        if places.is_empty() {
            return;
        }
        self.story
            .push(format!("delete {} rows by a vector", places.len()));
        let vector = self.lake.write_vectors("t", &[(&location, places)]).remove(0);
        let partition = self.any_partition().await;
        let mut file = ::iceberg::spec::DataFileBuilder::default();
        file.content(DataContentType::PositionDeletes)
            .file_path(vector.file_path().to_owned())
            .file_format(vector.file_format())
            .partition(partition)
            .record_count(vector.record_count())
            .file_size_in_bytes(vector.file_size_in_bytes())
            .referenced_data_file(vector.referenced_data_file())
            .content_offset(vector.content_offset())
            .content_size_in_bytes(vector.content_size_in_bytes());
        self.lake
            .commit_deletes("t", vec![(file.build().unwrap(), -1)])
            .await;
        self.vectored.push(location);
    }

    async fn delete_by_key(&mut self) {
        let mut keys: Vec<Column> = self
            .columns
            .iter()
            .filter(|_| self.dice.one_in(3))
            .cloned()
            .collect();
        if keys.is_empty() {
            keys = vec![self.dice.pick(&self.columns).clone()];
        }
        let mut wanted = Vec::new();
        for _ in 0..1 + self.dice.below(4) {
            let rows: Vec<&Row> = self.rows.values().collect();
            let from = (!rows.is_empty() && !self.dice.one_in(4)).then(|| (*self.dice.pick(&rows)).clone());
            let key: BTreeMap<i32, Cell> = keys
                .iter()
                .map(|column| match &from {
                    Some(row) => (column.id, column.of(row)),
                    None => (column.id, self.dice.cell(column.kind)),
                })
                .collect();
            wanted.push(key);
        }
        let fields = keys
            .iter()
            .map(|column| field(column.id, "key", column.kind.arrow()));
        let fields = fields
            .enumerate()
            .map(|(place, field)| field.with_name(format!("k{place}")));
        let fields = fields.collect();
        let mut file = self
            .lake
            .write_keys("t", fields, &Self::query(&keys, &wanted))
            .await;
        let loaded = self.lake.load("t").await;
        let spec = loaded.metadata().default_partition_spec();
        let files = self.lake.live("t").await;
        let mut within: Vec<&Live> = files.iter().collect();
        if !spec.is_unpartitioned() {
            within.retain(|live| live.spec == spec.spec_id());
            let Some(first) = within.first().map(|live| live.partition.clone()) else {
                return;
            };
            within.retain(|live| live.partition == first);
            file.partition(first);
        }
        self.lake
            .commit_deletes("t", vec![(file.build().unwrap(), -1)])
            .await;
        let before = self.rows.len();
        self.rows.retain(|_, row| {
            let key: BTreeMap<i32, Cell> = keys.iter().map(|column| (column.id, column.of(row))).collect();
            !(wanted.contains(&key) && within.iter().any(|live| live.location == row.file))
        });
        self.story
            .push(format!("delete {} rows by {wanted:?}", before - self.rows.len()));
    }

    async fn evolve(&mut self) {
        // Columns 1 to 3 stay: they number the rows and partition them.
        let free = 3 + self
            .dice
            .below((self.columns.len() as u64).saturating_sub(3).max(1)) as usize;
        match self.dice.below(5) {
            0 if free < self.columns.len() => drop(self.columns.remove(free)),
            1 if free < self.columns.len() => self.columns[free].name = format!("r{}_{}", self.next_id, free),
            2 => self
                .columns
                .iter_mut()
                .filter(|column| column.kind == Kind::Int)
                .for_each(|column| column.kind = Kind::Long),
            3 => {
                let last = self.columns.pop().unwrap();
                self.columns.insert(3.min(self.columns.len()), last);
            }
            _ => {
                let kind = *self.dice.pick(&[Kind::Int, Kind::Long, Kind::Text]);
                let default = if self.third {
                    self.dice.cell(kind)
                } else {
                    Cell::Null
                };
                let (id, name) = (self.next_id, format!("c{}", self.next_id));
                self.columns.push(Column {
                    id,
                    name,
                    kind,
                    default,
                });
                self.next_id += 1;
            }
        }
        let fields: Vec<NestedFieldRef> = self.columns.iter().map(Column::iceberg).collect();
        self.lake.evolve("t", fields).await;
        self.story.push(format!("columns {:?}", self.columns));
    }

    async fn repartition(&mut self) {
        let by = spec(&mut self.dice);
        let mut spec = UnboundPartitionSpec::builder();
        let name = format!("again{}", self.story.len());
        for (id, transform) in &by {
            spec = spec.add_partition_field(*id, name.clone(), *transform).unwrap();
        }
        let spec = spec.build();
        self.lake
            .change("t", |metadata| metadata.add_default_partition_spec(spec).unwrap())
            .await;
        self.story.push(format!("partitioned by {by:?}"));
    }
}

fn number(cell: &Cell) -> i64 {
    match cell {
        Cell::Number(number) => *number,
        _ => unreachable!("the number of a row"),
    }
}
