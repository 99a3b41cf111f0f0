//! What to paste: one way into the lake for each kind of client, ready for this machine and these ports.
//!
//! The texts lie beside as files of their own language. Each asks a real question and works from any folder.

use std::env::current_exe;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::accounts::{Account, CREDENTIALS};
use super::error::{Error, Result};
use super::folder::Folder;

/// Where the gateway listens, as clients write it.
#[derive(Debug, Clone)]
pub(super) struct At {
    /// `grpc://HOST:PORT`
    pub(super) flight: String,
    /// `http://HOST:PORT`
    pub(super) rest: String,
    /// `http://HOST:PORT`
    pub(super) ingest: String,
    authority: String,
    credentials: PathBuf,
}

impl At {
    /// The addresses of a running gateway on the folder.
    pub(super) fn new(folder: &Folder, flight: SocketAddr, rest: SocketAddr, ingest: SocketAddr) -> Self {
        let authority = reachable(flight).to_string();
        Self {
            flight: format!("grpc://{authority}"),
            rest: format!("http://{}", reachable(rest)),
            ingest: format!("http://{}", reachable(ingest)),
            authority,
            credentials: folder.path(CREDENTIALS),
        }
    }
}

/// The address that a client on this machine uses: a listener on all addresses is reached by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Who the snippets log in as: the least of the sample's users, who sees gold.
const USER: &str = "viewer";

/// Who posts records: one who may write, and may see what was set aside.
const WRITER: &str = "admin";

/// The newest driver at the time of writing.
const JDBC_VERSION: &str = "18.3.0";

/// The snippets with their headlines.
const PARTS: [(&str, &str); 6] = [
    (
        "Python, pyarrow   (pip install pyarrow)",
        include_str!("snippets/pyarrow.sh"),
    ),
    (
        "Python, ADBC      (pip install adbc-driver-flightsql pyarrow)",
        include_str!("snippets/adbc.sh"),
    ),
    (
        "Java, JDBC        (org.apache.arrow:flight-sql-jdbc-driver, Java 17 or later)",
        include_str!("snippets/jdbc.sh"),
    ),
    ("curl, REST", include_str!("snippets/curl.sh")),
    ("lakegate, interactive", include_str!("snippets/sql.sh")),
    (
        "Records in: ten events, two of them bad   (pipelines/events.toml says what is good)",
        include_str!("snippets/ingest.sh"),
    ),
];

/// The snippet for a database beside the lake. Its user is admin, who alone may read it.
const POSTGRES: (&str, &str) = (
    "lakegate, the tables of --postgres",
    include_str!("snippets/postgres.sh"),
);

/// All snippets as one text, with the password of the sample's viewer in them where a client cannot read a file.
///
/// # Errors
/// The viewer or the writer has been taken out of `credentials.json`.
pub(super) fn render(at: &At, accounts: &[Account], has_postgres: bool) -> Result<String> {
    let find = |user: &'static str| {
        let found = accounts.iter().find(|account| account.user == user);
        found.ok_or_else(|| Error::NoUser {
            path: at.credentials.clone(),
            user,
        })
    };
    let account = find(USER)?;
    find(WRITER)?;
    // JSON's way to write a string is also Python's.
    let credentials = serde_json::json!(at.credentials.display().to_string()).to_string();
    let lakegate = current_exe().unwrap_or_else(|_| PathBuf::from("lakegate"));
    let fields = [
        ("@FLIGHT@", at.flight.as_str()),
        ("@REST@", &at.rest),
        ("@AUTHORITY@", &at.authority),
        ("@CREDENTIALS@", &credentials),
        ("@CREDENTIALS_FILE@", &quoted(&at.credentials)),
        ("@LAKEGATE@", &quoted(&lakegate)),
        ("@USER@", USER),
        ("@PASSWORD@", &account.password),
        ("@INGEST@", &at.ingest),
        ("@WRITER@", WRITER),
        ("@JDBC@", JDBC_VERSION),
    ];
    let mut text = format!(
        "\nUsers and passwords: {}\nTables: lake.gold.lineitem, orders, customer, part, partsupp, supplier, nation, region, events_by_kind\n",
        at.credentials.display()
    );
    for (headline, template) in PARTS.into_iter().chain(has_postgres.then_some(POSTGRES)) {
        let filled = fields.iter().fold(template.to_owned(), |filled, (field, value)| {
            filled.replace(field, value)
        });
        text += &format!("\n# {headline}\n{filled}");
    }
    text += "\nStop with Ctrl-C.\n";
    Ok(text)
}

/// A path for a shell, which takes everything in single quotes but the single quote.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
