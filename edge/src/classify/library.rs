//! ONNX Runtime, from a library that somebody named.
//!
//! One library serves the whole process, for good: that is how ONNX Runtime's environment works. Versions 1.17 and later
//! are taken. Recommended is 1.24.4. Not recommended are 1.21.0, which dies on a Raspberry Pi while it is being loaded (so
//! `probe` loads it in a child process first), and 1.29 and later, which send telemetry unless a variable stands in the
//! environment before their first call. The environment of a running program cannot be changed safely, so
//! `prepare_environment` starts the program anew with it, and without it such a library is refused.

use std::any::Any;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, anyhow, bail, ensure};
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::{Session, builder::GraphOptimizationLevel};
use ort::value::{DynValue, TensorRef};

use super::{Ports, Runtime};

/// The version to use where nothing speaks for another.
pub(super) const RECOMMENDED: &str = "1.24.4";
/// Libraries that know it send no telemetry when this is 1.
pub(super) const NO_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";
/// Official builds from this minor version on hold telemetry.
const TELEMETRY_SINCE: u32 = 29;
/// Stands in the environment once the program was started anew, so that this happens only once.
const STARTED_ANEW: &str = "EDGE_STARTED_ANEW";

pub(super) struct Engine {
    session: Session,
    input: String,
    shape: Vec<usize>,
    outputs: Vec<String>,
}

struct Loaded {
    path: PathBuf,
    environment: Environment,
    name: String,
}

/// The one library of this process.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// Starts the program anew, once, with the environment that the runtime needs; returns when it has it.
///
/// To be called first thing by a command, before it has done anything that must not happen twice.
pub fn prepare_environment(runtime: &Runtime) -> anyhow::Result<()> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| value == "1");
    if *runtime == Runtime::Embedded || is_set(NO_TELEMETRY) {
        return Ok(());
    }
    ensure!(
        !is_set(STARTED_ANEW),
        "{NO_TELEMETRY}=1 was set and is gone again: set it where this program is started"
    );
    let program = std::env::current_exe().context("finding this program, to start it anew")?;
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| OsString::from("edge"));
    let error = Command::new(&program)
        .arg0(name)
        .args(arguments)
        .env(NO_TELEMETRY, "1")
        .env(STARTED_ANEW, "1")
        .exec();
    Err(error).with_context(|| {
        format!(
            "starting {} anew with {NO_TELEMETRY}=1; setting it yourself helps",
            program.display()
        )
    })
}

impl Engine {
    /// Also the name of what runs it.
    pub(super) fn load(
        library: &Path,
        bytes: &[u8],
        ports: &Ports,
    ) -> anyhow::Result<(Self, String)> {
        let (environment, name) = environment(library)?;
        let session = guarded("loading", || {
            let mut builder = Session::builder(&environment)?
                .with_optimization_level(GraphOptimizationLevel::All)
                .map_err(|error| anyhow!("{error}"))?
                .with_intra_threads(1)
                .map_err(|error| anyhow!("{error}"))?;
            Ok(builder.commit_from_memory(bytes)?)
        })?;
        let engine = Self {
            session,
            input: ports.input.clone(),
            shape: ports.shape.clone(),
            outputs: ports.outputs.clone(),
        };
        Ok((engine, name))
    }

    pub(super) fn run(&mut self, input: &[f32]) -> anyhow::Result<Vec<Vec<f32>>> {
        guarded("running", || {
            let tensor = TensorRef::from_array_view((self.shape.as_slice(), input))?;
            let found = self.session.run(vec![(self.input.as_str(), tensor)])?;
            self.outputs
                .iter()
                .map(|name| {
                    let value = found
                        .get(name)
                        .with_context(|| format!("ONNX Runtime left out `{name}`"))?;
                    numbers(value)
                })
                .collect()
        })
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ONNX Runtime")
            .field("input", &self.input)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

/// The version that a library says it has, without running any of it.
///
/// Its builds for Linux carry their version in the names of their symbols; None if this one does not.
pub(super) fn version(library: &Path) -> std::io::Result<Option<String>> {
    const MARK: &[u8] = b"VERS_";
    const LONGEST: usize = 24;
    let mut file = std::fs::File::open(library)?;
    let mut window = vec![0; 64 * 1024];
    let mut kept = 0;
    loop {
        let read = file.read(&mut window[kept..])?;
        if read == 0 {
            return Ok(None);
        }
        let filled = kept + read;
        let found = window[..filled]
            .windows(MARK.len())
            .enumerate()
            .filter(|(_, bytes)| *bytes == MARK)
            .find_map(|(at, _)| {
                let rest = &window[at + MARK.len()..filled.min(at + LONGEST)];
                let end = rest
                    .iter()
                    .position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
                let text = String::from_utf8_lossy(&rest[..end]).into_owned();
                (text.split('.').count() == 3).then_some(text)
            });
        if found.is_some() {
            return Ok(found);
        }
        // A mark may lie across two readings.
        kept = filled.min(LONGEST);
        window.copy_within(filled - kept..filled, 0);
    }
}

/// What speaks against a version; None if nothing does.
pub(super) fn objection(version: &str) -> Option<&'static str> {
    let minor = minor(version)?;
    if version == "1.21.0" {
        Some("it is known to kill the program on a Raspberry Pi")
    } else if minor >= TELEMETRY_SINCE {
        Some("it holds telemetry, which is switched off here")
    } else {
        None
    }
}

pub(super) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given")
}

/// Loads the library, or gives the one that is loaded.
fn environment(library: &Path) -> anyhow::Result<(Environment, String)> {
    // Made absolute, so that the system's loader does not go looking for it.
    let path = library
        .canonicalize()
        .with_context(|| format!("the runtime {}", library.display()))?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = loaded.as_ref() {
        ensure!(
            loaded.path == path,
            "{} is loaded already, and a process can have but one ONNX Runtime",
            loaded.path.display()
        );
        return Ok((loaded.environment.clone(), loaded.name.clone()));
    }
    let version = version(&path).with_context(|| format!("reading {}", path.display()))?;
    let silenced = std::env::var_os(NO_TELEMETRY).is_some_and(|value| value == "1");
    let may_send = version
        .as_deref()
        .and_then(minor)
        .is_none_or(|minor| minor >= TELEMETRY_SINCE);
    if may_send && !silenced {
        bail!(
            "{} may send telemetry: set {NO_TELEMETRY}=1, or use ONNX Runtime {RECOMMENDED}",
            path.display()
        );
    }
    let environment = guarded("starting", || {
        let builder = ort::init_from(&path).map_err(|error| why(&error))?;
        Ok(builder.with_name("edge").with_telemetry(false).build()?)
    })?;
    // Its warnings are about graphs that it optimises, and would stand between our lines.
    environment.set_log_level(LogLevel::Error);
    let objection = version.as_deref().and_then(objection);
    let name = format!(
        "ONNX Runtime {} ({}{})",
        version.as_deref().unwrap_or("of unknown version"),
        path.display(),
        objection.map_or(String::new(), |objection| format!("; {objection}"))
    );
    *loaded = Some(Loaded {
        path,
        environment: environment.clone(),
        name: name.clone(),
    });
    Ok((environment, name))
}

/// What the system's loader said is not part of the error's own text.
fn why(error: &ort::LoadDynamicError) -> anyhow::Error {
    match error {
        ort::LoadDynamicError::Dlopen { error: cause, .. } => anyhow!("{error} ({cause:?})"),
        other => anyhow!("{other}"),
    }
}

fn guarded<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    // `ort` panics where a library does not keep the interface's promises; the engine is dropped with the error.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.with_context(|| format!("{what} ONNX Runtime")),
        Err(panic) => Err(anyhow!(
            "{what} ONNX Runtime panicked: {}",
            panic_message(panic.as_ref())
        )),
    }
}

/// Indices are small whole numbers, which f32 holds exactly.
fn numbers(value: &DynValue) -> anyhow::Result<Vec<f32>> {
    if let Ok((_, numbers)) = value.try_extract_tensor::<f32>() {
        return Ok(numbers.to_vec());
    }
    let (_, numbers) = value
        .try_extract_tensor::<i64>()
        .context("an output holds no numbers")?;
    #[expect(clippy::cast_precision_loss, reason = "an index below 768")]
    Ok(numbers.iter().map(|&number| number as f32).collect())
}

fn minor(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_wherever_it_lies() {
        let folder = tempfile::tempdir().expect("fine");
        let path = folder.path().join("library");
        for at in [0, 10, 64 * 1024 - 12, 64 * 1024 - 5, 64 * 1024, 200_000] {
            let mut bytes = vec![0_u8; at];
            bytes.extend_from_slice(b"VERS_x VERS_1.24.4\0and more");
            std::fs::write(&path, &bytes).expect("fine");
            assert_eq!(
                version(&path).expect("fine").as_deref(),
                Some("1.24.4"),
                "at {at}"
            );
        }
        std::fs::write(&path, b"nothing of it: VERS_ 1.2.3").expect("fine");
        assert_eq!(version(&path).expect("fine"), None);
    }

    #[test]
    fn versions_that_are_not_recommended_are_known() {
        let cases = [
            (RECOMMENDED, false),
            ("1.17.3", false),
            ("1.21.0", true),
            ("1.21.1", false),
            ("1.28.0", false),
            ("1.29.0", true),
        ];
        for (version, objected) in cases {
            assert_eq!(objection(version).is_some(), objected, "{version}");
        }
    }
}
