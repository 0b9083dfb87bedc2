//! A real Chroma server, from the package `chromadb`, in a virtual environment that is kept in the cache.

use std::{
    env, fs,
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

const PACKAGE: &str = "chromadb==1.5.9";

/// A server that ends when this is dropped.
pub(crate) struct Server {
    process: Child,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// Starts a server. Where it cannot be installed there is none, and the test that wanted it says that it was
    /// skipped; `DISE_REQUIRE_CHROMA=1` makes that a failure.
    pub(crate) fn start() -> Option<Self> {
        // Several may have been installed; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        match program() {
            Ok(program) => Some(Self::run(&program)),
            Err(reason) if env::var_os("DISE_REQUIRE_CHROMA").is_some_and(|value| !value.is_empty()) => {
                panic!("{PACKAGE} cannot be installed: {reason}")
            }
            Err(reason) => {
                eprintln!("SKIPPED: {PACKAGE} cannot be installed, so Chroma is not tested: {reason}");
                None
            }
        }
    }

    fn run(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { process: spawn(program, folder.path(), port), folder, port };
        server.wait();
        server
    }

    pub(crate) fn url(&self) -> url::Url {
        format!("http://127.0.0.1:{}/", self.port).parse().unwrap()
    }

    /// Ends the server and starts one on the same port that knows nothing.
    pub(crate) fn replace(&mut self) {
        self.stop();
        self.folder = tempfile::tempdir().unwrap();
        self.process = spawn(&program().unwrap(), self.folder.path(), self.port);
        self.wait();
    }

    pub(crate) fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn wait(&mut self) {
        let end = Instant::now() + Duration::from_mins(2);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(self.process.try_wait().unwrap().is_none(), "the Chroma server has ended");
            assert!(Instant::now() < end, "the Chroma server does not answer");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(program: &Path, folder: &Path, port: u16) -> Child {
    Command::new(program)
        .args(["run", "--host", "127.0.0.1", "--port", &port.to_string(), "--path"])
        .arg(folder)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The program `chroma`, installed at the first call.
fn program() -> Result<PathBuf, String> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one = INSTALLING.lock();
    let folder = cache().join(PACKAGE.replace("==", "-"));
    let program = folder.join("bin/chroma");
    if program.exists() {
        return Ok(program);
    }
    eprintln!("installing {PACKAGE} into {}", folder.display());
    // Scripts name their interpreter by its path, so it is made where it stays; the last step makes the program.
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.to_string()),
        _ => {}
    }
    succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let pip = folder.join("bin/pip");
    succeed(Command::new(pip).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary=:all:",
        PACKAGE,
    ]))?;
    if program.exists() { Ok(program) } else { Err("it has no program `chroma`".to_owned()) }
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Where the project keeps what it downloads, as `tests/testbed/lib.sh` says.
fn cache() -> PathBuf {
    let folder = |name: &str| env::var_os(name).map(PathBuf::from);
    let general = || folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    folder("DISE_CACHE")
        .or_else(|| Some(general()?.join("dise")))
        .unwrap_or_else(|| env::temp_dir().join("dise"))
}
