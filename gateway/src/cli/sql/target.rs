//! Where `lakegate sql` goes, and as whom.
//!
//! Invariant: the passwords of a quickstart go to that quickstart only. Once another URL is given, they are used only if
//! their file is named too.

use super::Arguments;
use crate::cli::Failure;
use crate::config::Environment;
use policies::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

/// The folder that `lakegate quickstart` makes.
const QUICKSTART: &str = "lakegate-data";
const CREDENTIALS: &str = "credentials.json";
const ENDPOINTS: &str = "endpoints.json";
const PASSWORD: &str = "LAKEGATE_PASSWORD";

/// A gateway and the caller's name there.
#[derive(Debug)]
pub(super) struct Target {
    /// As the user wrote it, for messages.
    pub(super) url: String,
    /// `http://HOST:PORT` or `https://HOST:PORT`, as the transport wants it.
    pub(super) uri: String,
    /// Authorities to trust instead of the system's; TLS only.
    pub(super) authority: Option<PathBuf>,
    pub(super) user: String,
    pub(super) password: Secret,
}

#[derive(Debug, Deserialize)]
struct Account {
    user: String,
    password: String,
}

#[derive(Debug, Deserialize)]
struct Endpoints {
    flight: String,
}

impl Target {
    /// Puts together what the arguments, the environment and the files of a quickstart say.
    ///
    /// # Errors
    /// `Target` with what is missing; `Io` for a file that cannot be read.
    pub(super) fn find(arguments: &Arguments, environment: &Environment) -> Result<Self, Failure> {
        let quickstart = Path::new(QUICKSTART);
        let (url, account_file) = match (&arguments.url, &arguments.credentials) {
            (Some(url), file) => (url.clone(), file.clone()),
            (None, Some(file)) => (
                endpoint(file.parent().unwrap_or(Path::new("")))?,
                Some(file.clone()),
            ),
            (None, None) => (endpoint(quickstart)?, Some(quickstart.join(CREDENTIALS))),
        };
        let accounts = match account_file {
            Some(file) => read_json::<Vec<Account>>(&file)?,
            None => Vec::new(),
        };
        let user = match (&arguments.user, accounts.first()) {
            (Some(user), _) => user.clone(),
            (None, Some(account)) => account.user.clone(),
            (None, None) => return Err(missing("no user: give --user or --credentials")),
        };
        let kept = accounts.into_iter().find(|account| account.user == user);
        let password = match (&arguments.password_file, environment.get(PASSWORD), kept) {
            (Some(file), _, _) => Secret::new(read(file)?.trim_end_matches(['\r', '\n'])),
            (None, Some(password), _) => Secret::new(password),
            (None, None, Some(account)) => Secret::new(account.password),
            (None, None, None) => prompt(&user)?,
        };
        Ok(Self {
            uri: uri(&url)?,
            url,
            authority: arguments.authority.clone(),
            user,
            password,
        })
    }
}

fn endpoint(folder: &Path) -> Result<String, Failure> {
    let file = folder.join(ENDPOINTS);
    if !file.exists() {
        let problem = format!(
            "no --url, and no {}: start `lakegate quickstart`, or say where to go",
            file.display()
        );
        return Err(Failure::Target { problem });
    }
    read_json::<Endpoints>(&file).map(|endpoints| endpoints.flight)
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|source| Failure::io(format!("reading {}", file.display()), source))
}

fn read_json<T: DeserializeOwned>(file: &Path) -> Result<T, Failure> {
    let text = read(file)?;
    // The message of serde_json may repeat a value, and a value may be a password: the place is enough.
    serde_json::from_str(&text).map_err(|error| {
        missing(format!(
            "{}, line {}: not what a quickstart writes",
            file.display(),
            error.line()
        ))
    })
}

fn prompt(user: &str) -> Result<Secret, Failure> {
    if !io::stdin().is_terminal() {
        return Err(missing(format!(
            "no password for {user}: give --password-file or set {PASSWORD}"
        )));
    }
    rpassword::prompt_password(format!("Password for {user}: "))
        .map(Secret::new)
        .map_err(|source| Failure::io("reading the password", source))
}

/// The URL as the transport wants it. The schemes are those of the other Flight SQL clients.
fn uri(url: &str) -> Result<String, Failure> {
    let (scheme, place) = url.split_once("://").unwrap_or(("grpc", url));
    let scheme = match scheme {
        "grpc" | "grpc+tcp" | "http" => "http",
        "grpc+tls" | "https" => "https",
        _ => {
            return Err(missing(format!(
                "{url}: the scheme is none of grpc, grpc+tcp, grpc+tls"
            )));
        }
    };
    let place = place.trim_end_matches('/');
    let with_port = place
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !with_port || place.contains(['/', '@', '?']) {
        return Err(missing(format!("{url}: not of the form grpc://HOST:PORT")));
    }
    Ok(format!("{scheme}://{place}"))
}

fn missing(problem: impl Into<String>) -> Failure {
    Failure::Target {
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Environment, Target, uri};
    use std::fs;
    use std::path::Path;

    #[test]
    fn urls_of_all_clients_are_read() {
        let cases = [
            ("grpc://127.0.0.1:1", "http://127.0.0.1:1"),
            ("grpc+tcp://h:1/", "http://h:1"),
            ("grpc+tls://h:1", "https://h:1"),
            ("h:1", "http://h:1"),
            ("grpc://[::1]:1", "http://[::1]:1"),
        ];
        for (url, expected) in cases {
            assert_eq!(uri(url).unwrap(), expected);
        }
        for url in [
            "ftp://h:1",
            "grpc://h",
            "grpc://h:x",
            "grpc://h:1/path",
            "grpc://:1",
            "grpc://u:p@h:1",
            "",
        ] {
            assert!(uri(url).is_err(), "{url}");
        }
    }

    fn find(arguments: &Arguments, password: Option<&str>) -> Result<(String, String, String), String> {
        let variable = password.map(|password| ("LAKEGATE_PASSWORD".to_owned(), password.to_owned()));
        let environment: Environment = variable.into_iter().collect();
        Target::find(arguments, &environment)
            .map(|target| (target.uri, target.user, target.password.expose().to_owned()))
            .map_err(|failure| failure.to_string())
    }

    fn quickstart(folder: &Path) -> Arguments {
        let accounts =
            r#"[{"user":"ada","password":"a","roles":["x"]},{"user":"bob","password":"b","roles":[]}]"#;
        fs::write(folder.join("credentials.json"), accounts).unwrap();
        fs::write(
            folder.join("endpoints.json"),
            r#"{"flight":"grpc://h:7","rest":"http://h:8"}"#,
        )
        .unwrap();
        Arguments {
            credentials: Some(folder.join("credentials.json")),
            ..Arguments::default()
        }
    }

    fn owned(uri: &str, user: &str, password: &str) -> Result<(String, String, String), String> {
        Ok((uri.to_owned(), user.to_owned(), password.to_owned()))
    }

    #[test]
    fn a_quickstart_gives_url_user_and_password() {
        let dir = tempfile::tempdir().unwrap();
        let arguments = || quickstart(dir.path());
        assert_eq!(find(&arguments(), None), owned("http://h:7", "ada", "a"));
        let bob = Arguments {
            user: Some("bob".to_owned()),
            ..arguments()
        };
        assert_eq!(find(&bob, None), owned("http://h:7", "bob", "b"));
        assert_eq!(
            find(&bob, Some("of the variable")),
            owned("http://h:7", "bob", "of the variable")
        );
        let file = dir.path().join("password");
        fs::write(&file, "of the file\n").unwrap();
        let by_file = Arguments {
            password_file: Some(file),
            ..arguments()
        };
        assert_eq!(
            find(&by_file, Some("x")),
            owned("http://h:7", "ada", "of the file")
        );
        let elsewhere = Arguments {
            url: Some("grpc://other:9".to_owned()),
            ..arguments()
        };
        assert_eq!(find(&elsewhere, None), owned("http://other:9", "ada", "a"));
    }

    #[test]
    fn what_is_missing_is_told() {
        let url = Arguments {
            url: Some("grpc://other:9".to_owned()),
            ..Arguments::default()
        };
        assert_eq!(
            find(&url, Some("x")).unwrap_err(),
            "no user: give --user or --credentials"
        );
        let dir = tempfile::tempdir().unwrap();
        let arguments = quickstart(dir.path());
        fs::write(
            dir.path().join("credentials.json"),
            "[{\"user\": \"ada\", \"password\": 7}]",
        )
        .unwrap();
        let found = find(&arguments, None).unwrap_err();
        assert!(
            found.ends_with("credentials.json, line 1: not what a quickstart writes"),
            "{found}"
        );
        fs::remove_file(dir.path().join("endpoints.json")).unwrap();
        let found = find(&arguments, None).unwrap_err();
        assert!(
            found.starts_with("no --url, and no ") && found.contains("endpoints.json"),
            "{found}"
        );
    }
}
