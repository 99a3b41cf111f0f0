//! The conversation at a terminal: prompt, history, several lines to a statement.

use super::Failure;
use super::script;
use super::session::{Next, Session};
use crate::config::Environment;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

const PROMPT: &str = "lakegate> ";
const PROMPT_WITHIN: &str = "      ... ";

/// Statements that are kept from one conversation to the next.
const HISTORY_MAX: usize = 10_000;

type Line = Editor<(), FileHistory>;

/// Talks until Ctrl-D or `\q`. A statement that fails is told and the conversation goes on.
pub(super) fn run(runtime: &Runtime, mut session: Session, environment: &Environment) -> Result<(), Failure> {
    let mut editor = editor()?;
    let history = history_file(environment);
    if let Some(file) = &history {
        load(&mut editor, file)?;
    }
    say(&session.greeting())?;
    let mut typed = String::new();
    loop {
        let prompt = if typed.is_empty() { PROMPT } else { PROMPT_WITHIN };
        let line = match editor.readline(prompt) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                typed.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(broken(error)),
        };
        match take(runtime, &mut session, &mut editor, &mut typed, &line) {
            Ok(Next::Continue) => {}
            Ok(Next::Quit) => break,
            Err(failure) if failure.is_broken_pipe() => return Err(failure),
            Err(failure) => {
                typed.clear();
                complain(&failure)?;
            }
        }
    }
    match history {
        Some(file) => editor.save_history(&file).map_err(broken),
        None => Ok(()),
    }
}

/// Takes one line: a command, or a part of a statement, or several statements.
fn take(
    runtime: &Runtime,
    session: &mut Session,
    editor: &mut Line,
    typed: &mut String,
    line: &str,
) -> Result<Next, Failure> {
    let mut out = io::stdout().lock();
    if typed.is_empty() {
        match line.trim() {
            "" => return Ok(Next::Continue),
            "exit" | "quit" => return Ok(Next::Quit),
            command if command.starts_with('\\') => {
                remember(editor, command)?;
                return runtime.block_on(session.command(command, &mut out));
            }
            _ => {}
        }
    }
    typed.push_str(line);
    typed.push('\n');
    let script = script::split(typed);
    if script.statements.is_empty() {
        if script.rest_is_empty {
            typed.clear();
        }
        return Ok(Next::Continue);
    }
    remember(editor, typed.trim())?;
    *typed = runtime.block_on(session.run_complete(typed, &mut out))?;
    Ok(Next::Continue)
}

fn editor() -> Result<Line, Failure> {
    let config = Config::builder()
        .max_history_size(HISTORY_MAX)
        .and_then(|builder| builder.history_ignore_dups(true))
        .map_err(broken)?
        .history_ignore_space(true)
        .build();
    Editor::with_config(config).map_err(broken)
}

fn remember(editor: &mut Line, entry: &str) -> Result<(), Failure> {
    editor.add_history_entry(entry).map(|_| ()).map_err(broken)
}

/// The history's file by the XDG rules; none where there is no home.
fn history_file(environment: &Environment) -> Option<PathBuf> {
    let state = match environment.get("XDG_STATE_HOME") {
        Some(folder) if Path::new(folder).is_absolute() => PathBuf::from(folder),
        _ => Path::new(environment.get("HOME")?).join(".local/state"),
    };
    Some(state.join("lakegate").join("history"))
}

fn load(editor: &mut Line, file: &Path) -> Result<(), Failure> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)
            .map_err(|source| Failure::io(format!("making {}", folder.display()), source))?;
    }
    if !file.exists() {
        return Ok(());
    }
    editor.load_history(file).map_err(broken)
}

fn say(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").map_err(|source| Failure::io("writing to the terminal", source))
}

fn complain(failure: &Failure) -> Result<(), Failure> {
    let mut out = io::stderr().lock();
    writeln!(out, "error: {}", failure.chain())
        .map_err(|source| Failure::io("writing to the terminal", source))
}

fn broken(error: ReadlineError) -> Failure {
    Failure::io("talking to the terminal", io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use super::{Environment, history_file};
    use std::path::Path;

    #[test]
    fn the_history_lies_where_xdg_says() {
        let of = |variables: &[(&str, &str)]| {
            let environment: Environment = variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            history_file(&environment)
        };
        let expect = |path: &'static str| Some(Path::new(path).to_owned());
        assert_eq!(
            of(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]),
            expect("/s/lakegate/history")
        );
        assert_eq!(
            of(&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")]),
            expect("/h/.local/state/lakegate/history")
        );
        assert_eq!(of(&[]), None);
    }
}
