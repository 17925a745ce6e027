//! A PostgreSQL server for tests: one per test program, on a socket in a temporary folder. It ends
//! with the program.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::tcp_proxy::{TcpProxy, Upstream};

/// Starts the server, prints its address, and waits for the end of its standard input, so that the
/// server ends however the tests end. PostgreSQL refuses to run as root.
const KEEPER: &str = r#"
set -eu
for bin in "" /usr/lib/postgresql/*/bin/; do
  if command -v "${bin}initdb" >/dev/null && command -v "${bin}pg_ctl" >/dev/null; then found=yes; break; fi
done
if [ -z "${found:-}" ]; then echo "initdb and pg_ctl are neither on PATH nor in /usr/lib/postgresql/*/bin"; exit 1; fi
folder=$(mktemp -d)
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
  user=postgres
  id "$user" >/dev/null 2>&1 || user=daemon
  chown "$user" "$folder"
  as() { setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@"; }
fi
cd "$folder"
end() { as "${bin}pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true; cd /; rm -rf "$folder"; }
trap end EXIT
if ! as "${bin}initdb" -D "$folder/data" -U audit -A trust -E UTF8 --locale=C --no-sync >"$folder/log" 2>&1 ||
  ! as "${bin}pg_ctl" -D "$folder/data" -l "$folder/server.log" -w start -o \
    "-c listen_addresses='' -c unix_socket_directories='$folder' -c fsync=${FSYNC:-off} -c max_connections=400" >>"$folder/log" 2>&1
then
  tail -n 1 "$folder/log"; exit 1
fi
echo "ready $bin $folder"
read -r _ || true
"#;

/// Whether the server syncs its commits.
static SYNCED: AtomicBool = AtomicBool::new(false);

struct Server {
    bin: String,
    folder: String,
    /// Its standard input is closed when this program ends.
    _keeper: Mutex<Child>,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER])
            .env("FSYNC", if SYNCED.load(Ordering::Relaxed) { "on" } else { "off" })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Keyboard interrupts are meant for the tests.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let mut words = line.trim_end().splitn(3, ' ');
        let (Some("ready"), Some(bin), Some(folder)) = (words.next(), words.next(), words.next()) else {
            panic!("the tests need PostgreSQL: {line}");
        };
        Server {
            bin: bin.to_owned(),
            folder: folder.to_owned(),
            _keeper: Mutex::new(keeper),
        }
    })
}

/// Makes the server sync each commit, which tests do without. Called before anything else here.
pub fn synced() {
    SYNCED.store(true, Ordering::Relaxed);
}

/// Returns a command that runs one of PostgreSQL's programs against the server.
#[must_use]
pub fn program(name: &str) -> Command {
    let server = server();
    let mut command = Command::new(format!("{}{name}", server.bin));
    command.args(["-h", &server.folder, "-U", "audit"]);
    command
}

/// Creates an empty database and returns its address.
#[must_use]
pub fn database() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(1);
    let name = format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let made = program("createdb").arg(&name).status().unwrap();
    assert!(made.success(), "the database {name} could not be created");
    address(&name)
}

/// Returns the address of a database of the server.
#[must_use]
pub fn address(name: &str) -> String {
    let host = server().folder.replace('/', "%2F");
    format!("postgres://audit@{host}/{name}")
}

/// Returns the socket of the server.
#[must_use]
pub fn socket() -> PathBuf {
    Path::new(&server().folder).join(".s.PGSQL.5432")
}

/// Creates an empty database behind a proxy. Returns its address through the proxy, and its own.
pub async fn behind_proxy() -> (TcpProxy, String, String) {
    let own = database();
    let name = own.rsplit('/').next().unwrap_or_default();
    let proxy = TcpProxy::start(Upstream::Unix(socket())).await;
    let through = format!("postgres://audit@{}/{name}?sslmode=disable", proxy.address);
    (proxy, through, own)
}
