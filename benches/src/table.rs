//! The one table of ratios, as aligned text and as Markdown.

use serde::Serialize;

use crate::measure::Cpu;

/// What a row is compared with in the list of goals (design page on performance, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Goal {
    /// The row of the list.
    pub number: u8,
    /// Which figure has to meet the bound.
    pub of: Of,
    /// The bound.
    pub bound: Bound,
}

/// The figure that a goal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// Ours divided by the peer's.
    Ratio,
    /// Ours.
    Ours,
}

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// This much or more.
    AtLeast(f64),
    /// This much or less.
    AtMost(f64),
}

/// How the rows of both sides compare; without it a time is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rows {
    /// Both gave the same so many rows.
    Same(u64),
    /// Both gave none, which proves nothing.
    Vacuous,
    /// They differ, and how.
    Different(String),
    /// Every call of ours was checked, and the peer gives no rows.
    Checked(u64),
    /// Rows have no part in this.
    None,
}

/// A line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The part of the bench, `a` to `g`.
    pub part: char,
    /// What was measured, and against whom.
    pub name: String,
    /// The unit of both figures.
    pub unit: &'static str,
    /// Our figure.
    pub ours: Option<f64>,
    /// Who stands on the other side.
    pub peer_name: String,
    /// The peer's figure.
    pub peer: Option<f64>,
    /// Our processor seconds, where they were counted.
    pub ours_cpu: Option<Cpu>,
    /// The peer's.
    pub peer_cpu: Option<Cpu>,
    /// The goal.
    pub goal: Option<Goal>,
    /// Whether both sides gave the same.
    pub rows: Rows,
    /// Why a figure is missing.
    pub failure: Option<String>,
}

impl Row {
    /// A row without figures yet.
    pub fn new(part: char, name: impl Into<String>, unit: &'static str, peer: impl Into<String>) -> Self {
        Self {
            part,
            name: name.into(),
            unit,
            ours: None,
            peer_name: peer.into(),
            peer: None,
            ours_cpu: None,
            peer_cpu: None,
            goal: None,
            rows: Rows::None,
            failure: None,
        }
    }

    /// Sets a goal for the ratio, or for our figure alone.
    #[must_use]
    pub fn with_goal(mut self, number: u8, of: Of, bound: Bound) -> Self {
        self.goal = Some(Goal { number, of, bound });
        self
    }

    /// Ours divided by the peer's.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.ours? / self.peer.filter(|peer| *peer != 0.0)?)
    }

    /// Whether the goal is met; none without a goal. What was not measured, or gave other rows, meets nothing.
    pub fn is_met(&self) -> Option<bool> {
        let goal = self.goal?;
        let figure = match goal.of {
            Of::Ratio => self.ratio(),
            Of::Ours => self.ours,
        };
        let valid = !self.is_wrong() && self.rows != Rows::Vacuous;
        Some(
            valid
                && figure.is_some_and(|figure| match goal.bound {
                    Bound::AtLeast(least) => figure >= least,
                    Bound::AtMost(most) => figure <= most,
                }),
        )
    }

    /// Whether the row fails the run: rows differ, or a side did not answer.
    pub fn is_wrong(&self) -> bool {
        self.failure.is_some() || matches!(self.rows, Rows::Different(_))
    }

    fn cells(&self) -> Vec<String> {
        let goal = self.goal.map(|goal| {
            let (sign, bound) = match goal.bound {
                Bound::AtLeast(least) => (">=", least),
                Bound::AtMost(most) => ("<=", most),
            };
            let unit = if goal.of == Of::Ratio {
                "x".to_owned()
            } else {
                format!(" {}", self.unit)
            };
            format!("#{} {sign} {bound}{unit}", goal.number)
        });
        let met = match (self.is_wrong(), self.is_met()) {
            (true, _) => "FAILED",
            (false, Some(true)) => "yes",
            (false, Some(false)) => "no",
            (false, None) => "",
        };
        let rows = match (&self.failure, &self.rows) {
            (Some(failure), _) => shortened(failure),
            (None, Rows::Same(rows)) => format!("{rows} same"),
            (None, Rows::Vacuous) => "vacuous".to_owned(),
            (None, Rows::Different(how)) => shortened(how),
            (None, Rows::Checked(rows)) => format!("{rows} checked"),
            (None, Rows::None) => String::new(),
        };
        vec![
            self.part.to_string(),
            self.name.clone(),
            shown(self.ours),
            self.peer_name.clone(),
            shown(self.peer),
            self.unit.to_owned(),
            self.ratio()
                .map(|ratio| format!("{ratio:.3}"))
                .unwrap_or_default(),
            seconds(self.ours_cpu),
            seconds(self.peer_cpu),
            goal.unwrap_or_default(),
            met.to_owned(),
            rows,
        ]
    }
}

const HEAD: [&str; 12] = [
    "",
    "name",
    "ours",
    "peer",
    "peer's",
    "unit",
    "ratio",
    "our cpu s",
    "peer cpu s",
    "goal",
    "met",
    "rows",
];

/// Which columns are figures, which stand at the right.
const FIGURES: [bool; 12] = [
    false, false, true, false, true, false, true, true, true, false, false, false,
];

/// The table as text whose columns stand under each other.
pub fn aligned(rows: &[Row]) -> String {
    let all: Vec<Vec<String>> = std::iter::once(HEAD.map(str::to_owned).to_vec())
        .chain(rows.iter().map(Row::cells))
        .collect();
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|at| {
            all.iter()
                .map(|cells| cells[at].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for cells in &all {
        let line: Vec<String> = cells
            .iter()
            .zip(&widths)
            .zip(FIGURES)
            .map(|((cell, width), figure)| match figure {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            })
            .collect();
        text += line.join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// The table in Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<String> = FIGURES
        .map(|figure| if figure { "---:" } else { "---" }.to_owned())
        .to_vec();
    let mut text = line(&HEAD.map(str::to_owned));
    text.push_str(&line(&rule));
    for row in rows {
        let cells: Vec<String> = row.cells().iter().map(|cell| cell.replace('|', "\\|")).collect();
        text.push_str(&line(&cells));
    }
    text
}

/// A figure with about four digits.
fn shown(figure: Option<f64>) -> String {
    match figure {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 1e6 => format!("{:.2}M", value / 1e6),
        Some(value) if value.abs() >= 1000.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.3}"),
    }
}

fn seconds(cpu: Option<Cpu>) -> String {
    cpu.map(|cpu| format!("{:.2}+{:.2}", cpu.server, cpu.client))
        .unwrap_or_default()
}

fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let row = Row {
            ours: Some(2.0),
            peer: Some(1.0),
            ..Row::new('a', "one", "s", "other")
        };
        row.with_goal(4, Of::Ratio, Bound::AtMost(2.0))
    }

    #[test]
    fn a_goal_is_met_by_equal_rows_only() {
        assert_eq!(row().is_met(), Some(true));
        assert_eq!(
            Row {
                peer: Some(0.9),
                ..row()
            }
            .is_met(),
            Some(false)
        );
        assert_eq!(
            Row {
                rows: Rows::Different("no".to_owned()),
                ..row()
            }
            .is_met(),
            Some(false)
        );
        assert_eq!(
            Row {
                rows: Rows::Vacuous,
                ..row()
            }
            .is_met(),
            Some(false)
        );
        assert_eq!(Row { ours: None, ..row() }.is_met(), Some(false));
        assert_eq!(Row { goal: None, ..row() }.is_met(), None);
    }

    #[test]
    fn columns_stand_under_each_other() {
        let text = aligned(&[
            row(),
            Row {
                name: "a longer name".to_owned(),
                ..row()
            },
        ]);
        let places: Vec<_> = text.lines().skip(1).map(|line| line.find("other")).collect();
        assert_eq!(places[0], places[1]);
        assert_eq!(markdown(&[row()]).lines().count(), 3);
    }
}
